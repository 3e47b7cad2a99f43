// What may stand beside an answer, where a study takes it: a comment, and a mark in the image where it shows; and the
// sliders of window and level.

const LONGEST_COMMENT = 500;    // characters

// A form, so that no key that is pressed in it answers. `act.beside(name, value)` keeps a value, null for none; `done()`
// gives the keys back to the questions.
function makeBeside(act, shades, done) {
  const where = element("span", { class: "where", role: "status" });
  const remove = element("button", { type: "button", text: say("remove"), title: say("remove title"),
    onclick: () => { act.beside("mark", null); done(); } });
  const comment = element("input", { class: "comment", type: "text", maxlength: LONGEST_COMMENT, autocomplete: "off",
    "aria-label": say("comment"), placeholder: say("comment hint"),
    oninput: () => act.beside("comment", comment.value.trim() ? comment.value : null),
    onkeydown: (event) => { if (event.key === "Escape") done(); } });
  const node = element("form", { class: "beside", onsubmit: (event) => { event.preventDefault(); done(); } });
  return {
    node,
    draw(item, { comment: written, mark }, asked) {
      const parts = [...(item.mark ? [where, ...(mark ? [remove] : [])] : []), ...(item.comment ? [comment] : []), ...(item.window ? [shades] : [])];
      if (parts.length !== node.childNodes.length) node.replaceChildren(...parts);
      const at = mark && say(mark.side ? `mark ${mark.side}` : "mark", { x: Math.round(mark.x), y: Math.round(mark.y) });
      const text = !mark ? say("mark none") : item.fps ? at + say("mark frame", { frame: mark.frame + 1 }) : at;
      if (where.textContent !== text) where.textContent = text;
      if (comment.value !== (written ?? "")) comment.value = written ?? "";
      comment.disabled = remove.disabled = !asked;
    },
  };
}
