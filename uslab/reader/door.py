"""Who comes in: what a visitor of a served study is told before a kernel is started for them."""

import secrets
from html import escape
from pathlib import Path
from urllib.parse import quote

from uslab.pages.messages import messages
from uslab.reader import classroom
from uslab.study.study import Study

PLAIN = """<!DOCTYPE html><html lang={language}><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>{title}</title>
<body style="font: 18px/1.5 system-ui, sans-serif; max-width: 32em; margin: 3em auto; padding: 0 16px">
<main><h1 style="font-size: 24px">{title}</h1>{text}</main>"""
BOOT = secrets.token_hex(4)     # a page that finds another one knows that the server was started anew
OPEN = "open"           # the argument that a click adds to a link; without it no kernel is started


def admit(handler, notebook, cwd) -> None:
    """Voila calls this before it starts a kernel: none for a link that belongs to nobody, or that only was looked at.

    A mail program that previews a link does not click. `?health` says ok, for whoever watches the server; `?check=1` is
    the page on which readers check their machines.
    """
    from tornado.web import Finish

    from uslab.reader import check

    study, code = Study.open(Path.cwd()), handler.get_argument("r", "")
    try:
        if handler.get_argument("health", None) is not None:
            handler.write(f"ok {BOOT}")
            raise Finish()
        if handler.get_argument(check.ASKED, None) is not None:
            handler.write(check.page(study))
            raise Finish()
        if room := handler.get_argument("class", ""):
            seat(handler, study, room)
            raise Finish()
        study.session(code)
        if not handler.get_argument(OPEN, ""):
            words = escape(messages(study.protocol.language)["check"]["link"])
            handler.write(button(study, f"?r={quote(code)}&{OPEN}=1", "open")
                          + f'<p><a href="?{check.ASKED}=1">{words}</a></p>')
            raise Finish()
    except ValueError:
        refuse(handler, study, "refused")
        raise Finish() from None
    finally:
        study.store.close()


def seat(handler, study: Study, code: str) -> None:
    """Send who comes by the link of a class on to a reader's link; their browser finds it again by a cookie."""
    try:
        if not handler.get_argument(OPEN, ""):
            classroom.seats(code)
            handler.write(button(study, f"?class={quote(code)}&{OPEN}=1", "take a seat"))
            return
        own = classroom.seat(study, code, handler.get_cookie(classroom.SEAT))
    except ValueError:
        return refuse(handler, study, "no seat")
    handler.set_cookie(classroom.SEAT, own, path=handler.request.path, httponly=True, samesite="Lax")
    handler.redirect(f"?r={quote(own)}&{OPEN}=1")


def button(study: Study, link: str, words: str) -> str:
    """A page with one link, of these words of the messages: nothing begins before it is clicked."""
    language = study.protocol.language
    text = escape(messages(language)["reading"][words])
    return PLAIN.format(language=language, title=escape(study.about["title"]), text=f'<p><a href="{escape(link)}" '
                        'style="display: inline-block; padding: 12px 24px; background: #1f6fb2; color: #fff; '
                        f'border-radius: 4px">{text}</a></p>')


def refuse(handler, study: Study, page: str) -> None:
    """Answer with a page of the messages that says why nothing opens."""
    language = study.protocol.language
    words = messages(language)["pages"][page]
    handler.set_status(403)
    handler.write(PLAIN.format(language=language, title=escape(words["title"]),
                               text=f"<p>{escape(words['text'][0])}</p>"))
