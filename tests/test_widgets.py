"""The widgets without a browser: what they keep, what they send, what they refuse, and what a saved notebook shows."""

import dataclasses
import threading
import time
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest
import torch
from made import noise

from uslab.models.config import knob
from uslab.widgets import Explorer, Monitor, Quiz, knobs, show_images
from uslab.widgets.curves import smooth, thin
from uslab.widgets.monitor import POINTS
from uslab.widgets.quiz import order, summarise

# What every anywidget has; whatever else were a trait would reach the browser and the saved notebook.
STATE = {"_anywidget_id", "_css", "_dom_classes", "_esm", "_model_module", "_model_module_version", "_model_name",
         "_view_count", "_view_module", "_view_module_version", "_view_name", "layout"}
if int(ipywidgets.__version__.split(".")[0]) >= 8:
    STATE |= {"tabbable", "tooltip"}


class Page:
    """A page's side of the line: keeps the messages, and builds the board from them as monitor.js does."""

    def __init__(self, widget):
        self.messages, self.curves, self.rows, self.missed = [], [], None, 0
        widget.tell = self.receive      # the line to the browser ends here instead

    def receive(self, message, *arrays):
        self.messages.append((message, [array.copy() for array in arrays]))
        if message["type"] == "points":
            if "curves" in message:
                self.curves = [curve["label"] for curve in message["curves"]]
                self.rows = np.zeros((0, 1 + len(self.curves)), np.float32)
            self.missed += message["from"] > len(self.rows)
            self.rows = np.concatenate([self.rows[:message["from"]], arrays[0]])


def values(step):
    return {"step": step, "images": 64 * step, "seconds": 0.1 * step, "images_per_s": 640.0,
            "loss_d": 1.3 + 0.1 * np.sin(step), "loss_g": 3 * np.exp(-step / 500), "d_real": 0.6, "d_fake": 0.4}


# --- Monitor

def test_thinning_keeps_the_ends_and_the_spike():
    step = np.arange(3000.0)
    curve = np.sin(step / 300)
    curve[1234] = 9
    kept = thin(np.stack([step, curve, np.full(3000, np.nan)], 1), 500)
    assert kept[0] == 0 and kept[-1] == 2999 and 1234 in kept
    assert len(kept) <= 500 and (np.diff(kept) > 0).all()


def test_a_long_run_stays_below_the_limit_and_evenly_spread():
    monitor = Monitor(20000)
    for step in range(20000):
        monitor.update(values(step))
    steps = [row["step"] for row in monitor._rows]
    assert len(steps) <= POINTS and steps[0] == 0 and steps[-1] == 19999
    assert np.diff(steps).max() <= 100      # no hole wider than 0.5 % of the run


@pytest.mark.slow
def test_the_page_gets_each_point_once_and_has_the_same_board():
    monitor = Monitor(5000)
    page = Page(monitor)
    for step in range(1, 1501):
        monitor.update(values(step))
        monitor._sent = -np.inf if step % 10 == 0 else monitor._sent
    monitor.close()
    assert page.missed == 0
    np.testing.assert_array_equal(page.rows, monitor._table())
    assert sum(len(arrays[0]) for _, arrays in page.messages) == 1500
    assert page.curves == ["loss D", "loss G", "D(x)", "D(G(z))"]


def test_messages_are_at_most_five_a_second():
    monitor = Monitor(1000)
    page = Page(monitor)
    for step in range(1000):
        monitor.update(values(step))
    assert len(page.messages) <= 2 + (monitor._clock[-1][0] - monitor._started) / 0.2


def test_a_resumed_run_replaces_the_repeated_steps():
    monitor = Monitor(100)
    page = Page(monitor)
    for step in (*range(1, 61), *range(41, 101)):
        monitor.update(values(step))
    monitor.close()
    assert page.rows[:, 0].tolist() == list(range(1, 101))


def test_a_new_curve_and_a_missing_value():
    monitor = Monitor(3)
    page = Page(monitor)
    monitor.update({"step": 1, "loss_g": 2.0})
    monitor.update(None)
    monitor.update({"step": 2, "loss_g": 1.0, "ada_p": 0.1})
    monitor.update({"step": 3, "ada_p": float("inf")})
    monitor.close()
    assert page.curves == ["loss G", "ada p"]
    np.testing.assert_array_equal(page.rows, np.float32([[1, 2, np.nan], [2, 1, 0.1], [3, np.nan, np.inf]]))
    assert page.messages[-1][0]["status"][0] == "step 3 of 3"


def test_a_page_that_opens_later_gets_the_whole_board():
    monitor = Monitor(100)
    for step in range(1, 51):
        monitor.update(values(step))
    monitor.show(torch.from_numpy(noise(4)))
    page = Page(monitor)
    monitor._on_message(monitor, {"type": "ready"}, [])
    np.testing.assert_array_equal(page.rows, monitor._table())
    message, (pixels,) = page.messages[-1]
    assert (message["n"], message["h"], message["w"], message["columns"]) == (4, 16, 16, 2)
    assert pixels.tobytes() == noise(4).tobytes()
    assert message["title"] == "Samples at step 50" and monitor.answered


@pytest.mark.slow
def test_threads_may_write_and_ask_at_the_same_time():
    monitor = Monitor(3000)
    page = Page(monitor)
    done = threading.Event()

    def ask():
        while not done.is_set():
            monitor._on_message(monitor, {"type": "ready"}, [])

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for step in range(3000):
        monitor.update(values(step))
    done.set()
    for thread in threads:
        thread.join()
    monitor.close()
    assert page.missed == 0
    np.testing.assert_array_equal(page.rows, monitor._table())


def test_large_samples_are_reduced_by_a_whole_factor():
    monitor = Monitor(10)
    page = Page(monitor)
    images = np.kron(noise(16, 128), np.ones((2, 2), np.uint8))      # 16 of 256 px: four columns of 1024 px
    monitor.show(images)
    message, (pixels,) = page.messages[-1]
    assert message["size"] == "16 of 256×256 px, shown at 1/2"
    np.testing.assert_array_equal(pixels, noise(16, 128)[:, 0])


@pytest.mark.parametrize("images", [np.zeros((4, 1, 8, 8), np.float32), np.zeros((4, 8, 8), np.uint8),
                                    np.zeros((0, 1, 8, 8), np.uint8)])
def test_samples_of_another_kind_are_refused(images):
    with pytest.raises(ValueError, match=r"uint8 \(n, 1, H, W\)"):
        Monitor(10).show(images)


def test_status_of_an_interrupted_run():
    monitor = Monitor(2000)
    monitor.update(values(1200))
    monitor.close()
    assert monitor._status()[:3] == ["stopped at step 1,200 of 2,000", "640 images/s on average", "took 2 min 0 s"]


def test_running_mean_is_not_pulled_to_zero_and_counts_steps():
    step, constant = np.arange(50.0), np.full(50, 3.0)
    np.testing.assert_allclose(smooth(step, constant), 3.0)
    # By hand with a share of 0.8: (0.8 * 0 + 1) / (0.8 + 1). The mean gap between these steps is 1.
    assert smooth(np.array([0.0, 1.0]), np.array([0.0, 1.0]))[1] == pytest.approx(1 / 1.8)
    # Gaps 1 and 3, mean 2: the weight of the past is 0.8 to the power of gap / 2.
    values = smooth(np.array([0.0, 1.0, 4.0]), np.array([1.0, np.nan, 0.0]))
    assert values[2] == pytest.approx(0.8 ** 2 / (0.8 ** 2 + 1)) and np.isnan(values[1])


def test_a_board_without_points_can_be_closed():
    monitor = Monitor(10)
    monitor.close()
    monitor.close()
    assert monitor.still()[0]["image/png"].startswith("iVBOR")


# --- knobs

@dataclasses.dataclass(frozen=True)
class Config:
    size: int = knob(64, options=(64, 128), help="side, pixels")
    lr: float = knob(2e-4, 1e-5, 1e-2, log=True, help="a < b & \"c\"")
    batch_size: int = knob(64, 2, 512, help="images a step")
    flip: float = knob(0.5, 0.0, 1.0, help="probability")
    steps: int = knob(1000, 1, help="at least one")
    ema: bool = knob(True, help="average the weights")
    note: str = "not a knob"


def test_the_panel_starts_from_the_config_it_is_given():
    config = Config(size=128, lr=0.00012345, note="mine")
    panel = knobs(config)
    assert panel.config == config
    assert set(panel._parts) == {"size", "lr", "batch_size", "flip", "steps", "ema"}
    assert panel.code == "Config(size=128, lr=0.00012345, note='mine')"


def test_apply_is_exact_and_the_code_makes_the_same_config():
    panel = knobs(Config())
    assert panel.code == "Config()"
    panel.apply(lr=0.00012345, batch_size=32, ema=False, flip=1)
    assert panel.config == Config(lr=0.00012345, batch_size=32, ema=False, flip=1.0)
    assert eval(panel.code) == panel.config
    assert panel._parts["lr"][0].value == pytest.approx(0.00012345) and panel._parts["batch_size"][0].value == 32


@pytest.mark.parametrize("values, message", [
    ({"lr": 5.0}, r"Config.lr is 5.0; it must lie between 1e-05 and 0.01"),
    ({"size": 65}, r"Config.size is 65; choose one of 64, 128"),
    ({"batch_size": 2.5}, r"Config.batch_size is 2.5; it must be a whole number"),
    ({"ema": 1}, r"Config.ema is 1; it must be True or False"),
    ({"flip": "x"}, r"Config.flip is 'x'; it must be a number"),
    ({"rate": 1}, r"Config has no 'rate'; it has size, lr, "),
])
def test_a_bad_value_is_refused_and_changes_nothing(values, message):
    panel = knobs(Config())
    with pytest.raises(ValueError, match=message):
        panel.apply(batch_size=16, **values) if "batch_size" not in values else panel.apply(**values)
    assert panel.config == Config() and panel._parts["batch_size"][0].value == 64


def test_moving_a_control_changes_the_config_to_a_round_value():
    panel = knobs(Config())
    panel._parts["lr"][1].value += 11           # eleven stops from 0.0002, ten to the decade
    panel._parts["flip"][1].value -= 20
    panel._parts["steps"][0].value = 123456
    panel._parts["size"][0].value = 128
    assert panel.code == "Config(size=128, lr=0.0025, flip=0.3, steps=123456)"
    assert panel._parts["lr"][0].value == 0.0025
    assert "was 0.0002" in panel._parts["lr"][3].value and "was" not in panel._parts["batch_size"][3].value
    assert f'value="{panel.code}"' in panel._code.value
    panel.reset()
    assert panel.config == Config() and panel._parts["size"][0].value == 64
    assert "was" not in panel._parts["lr"][3].value


def test_a_slider_reaches_both_ends_and_every_whole_number():
    panel = knobs(Config())
    assert panel._parts["batch_size"][2] == list(range(2, 513))
    assert panel._parts["lr"][2][:3] == [1e-5, 1.3e-5, 1.6e-5] and panel._parts["lr"][2][-1] == 1e-2
    assert len(panel._parts["flip"][2]) == 101
    assert len(panel._parts["lr"][2]) == 31


def test_help_is_text_not_markup():
    assert "a &lt; b &amp; &quot;c&quot;" in knobs(Config())._parts["lr"][3].value


def test_the_first_knobs_stand_on_top_and_the_others_fold_below_them():
    panel = knobs(Config(), "flip", "lr")
    names = [row.children[0].value for row in panel.children[1:3]]
    assert "flip" in names[0] and "lr" in names[1]
    folded = panel.children[3]
    assert folded.selected_index is None and len(folded.children[0].children) == len(panel._parts) - 2
    panel.apply(batch_size=16)
    assert panel.config.batch_size == 16 and panel._parts["batch_size"][0].value == 16
    with pytest.raises(ValueError, match="no 'speed'; it has"):
        knobs(Config(), "speed")


def test_knobs_wants_a_config_not_its_class():
    with pytest.raises(ValueError, match="instance of a Config"):
        knobs(Config)


# --- Explorer

def picture(config):
    """As uslab.phantom.scanner.scan returns it; every pixel is the batch size."""
    return SimpleNamespace(pixels=np.full((4, 4), config.batch_size, np.uint8), pixel_mm=0.5, top_mm=0.0, focus_mm=1.0,
                           note=f"batch {config.batch_size}")


def test_of_values_that_arrive_while_it_draws_only_the_latest_is_drawn():
    drawn, at_work, go_on = [], threading.Event(), threading.Event()

    def slow(config):
        if config.batch_size != 64:
            drawn.append(config.batch_size)
            at_work.set()
            go_on.wait(10)
        return picture(config)

    explorer = Explorer(Config(), slow)
    for batch in range(100, 110):
        explorer.panel._parts["batch_size"][0].value = batch     # as a slider does
        assert at_work.wait(10)
    go_on.set()
    deadline = time.monotonic() + 10
    while explorer._drawing.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert drawn == [100, 109]
    assert explorer.config.batch_size == 109 and (explorer.picture.pixels == 109).all()


def test_apply_draws_at_once_and_refuses_what_knobs_refuse():
    explorer = Explorer(Config(), picture)
    explorer.apply(batch_size=7)
    assert (explorer.picture.pixels == 7).all() and not explorer._drawing.running
    with pytest.raises(ValueError, match="Config.batch_size is 1; it must lie between 2 and 512"):
        explorer.apply(batch_size=1)
    assert explorer.config.batch_size == 7
    explorer.panel._parts["batch_size"][0].value = 9         # the slider still moves the picture
    while explorer._drawing.running:
        time.sleep(0.01)
    assert (explorer.picture.pixels == 9).all()


def test_a_page_gets_the_picture_as_a_message_and_never_as_a_trait():
    explorer = Explorer(Config(), picture)
    page = Page(explorer.screen)
    explorer.screen._on_message(None, {"type": "ready"}, [])
    explorer.apply(batch_size=200)
    assert [arrays[0].tolist() for _, arrays in page.messages] == [[[64] * 4] * 4, [[200] * 4] * 4]
    assert page.messages[0][0]["whole"] and page.messages[1][0]["note"] == "batch 200"
    assert set(explorer.screen.get_state()) == STATE


# --- Quiz

def test_order_is_balanced_in_each_block_and_position_tells_nothing():
    runs, at = 0, np.zeros(20)
    for seed in range(2000):
        classes = np.array(order(20, np.random.default_rng(seed))) == "real"
        assert (classes.reshape(5, 4).sum(1) == 2).all()
        at += classes
        same = np.flatnonzero(np.diff(np.r_[-1, classes, -1]))
        runs = max(runs, np.diff(same).max())
    assert runs <= 4
    assert np.abs(at / 2000 - 0.5).max() < 4 * np.sqrt(0.25 / 2000)     # four standard errors
    assert sorted(order(6, np.random.default_rng(0))) == ["real"] * 3 + ["synthetic"] * 3


def test_items_are_the_images_of_their_class_each_once():
    real, synthetic = noise(12, seed=1), noise(15, seed=2)
    quiz = Quiz(real, torch.from_numpy(synthetic), n=20, seed=3)
    pools = {"real": [image.tobytes() for image in real], "synthetic": [image.tobytes() for image in synthetic]}
    items = [image.tobytes() for image in quiz._images]
    assert len(set(items)) == 20
    assert all(item in pools[truth] for item, truth in zip(items, quiz._truth))
    assert quiz._truth == Quiz(real, synthetic, n=20, seed=3)._truth != Quiz(real, synthetic, n=20, seed=4)._truth


@pytest.mark.parametrize("real, synthetic, n, message", [
    (noise(9), noise(10), 20, "n = 20 needs 10 real images, but there are 9"),
    (noise(10), noise(10, 32), 20, "real images are 16x16 px and synthetic ones 32x32 px"),
    (noise(10), noise(10), 5, "n is 5; it must be even"),
    (noise(10) / 255, noise(10), 20, r"real must be an ImageSet or uint8 \(N, 1, H, W\), not float64"),
])
def test_a_quiz_that_cannot_be_fair_is_refused(real, synthetic, n, message):
    with pytest.raises(ValueError, match=message):
        Quiz(real, synthetic, n=n)


def answer_message(item, choice, **more):
    """What the page sends for an answer."""
    return {"type": "answer", "id": item, "reply": {"choice": choice, **more}, "rt_ms": 500.0,
            "nonce": f"{choice} {item}", "facts": {}}


def test_the_truth_leaves_only_with_the_feedback_and_never_as_a_trait():
    quiz = Quiz(noise(10), noise(10, seed=1), n=4, quality=False)
    assert set(quiz.get_state()) == STATE == set(Monitor(10).get_state())
    page = Page(quiz)
    quiz._on_message(quiz, {"type": "ready"}, [])
    for item in range(1, 5):
        message, (pixels,) = page.messages[-1]
        assert set(message) == {"whole", "type", "id", "done", "n", "h", "w", "zoom", "smooth", "guard_ms", "steps",
                                "hint", "marks"}
        assert message["done"] == len(message["marks"]) == item - 1 and pixels.shape == (16, 16)
        quiz._on_message(quiz, answer_message(item, "real"), [])
        message, _ = page.messages[-1]
        truth = quiz._truth[item - 1]
        text = f"{'Right' if truth == 'real' else 'Wrong'}: this image is {truth}."
        assert message == {"type": "ack", "nonce": f"real {item}",
                           "feedback": {"correct": truth == "real", "last": item == 4, "text": text}}
        quiz._on_message(quiz, {"type": "next"}, [])
    assert page.messages[-1][0]["type"] == "summary" and page.messages[-1][0]["right"] == 2


def test_what_gives_an_image_away_is_told_after_it_and_not_before():
    quiz = Quiz(noise(10), noise(10, seed=1), n=4, quality=False, why={"synthetic": "Its speckle repeats."})
    page = Page(quiz)
    for item in range(1, 5):
        quiz._on_message(quiz, answer_message(item, "real"), [])
        feedback = page.messages[-1][0]["feedback"]
        assert feedback.get("why") == {"real": None, "synthetic": "Its speckle repeats."}[quiz._truth[item - 1]]
        quiz._on_message(quiz, {"type": "next"}, [])
        assert "repeats" not in str(page.messages[-1][0])
    with pytest.raises(ValueError, match=r"why explains \['fake'\]"):
        Quiz(noise(10), noise(10, seed=1), n=4, why={"fake": ""})


def test_an_answer_that_comes_twice_counts_once():
    quiz = Quiz(noise(10), noise(10, seed=1), n=4)
    page = Page(quiz)
    for answer in ("real", "synthetic"):
        quiz._on_message(quiz, answer_message(1, answer, quality=3), [])
    assert quiz.results.answer.tolist() == ["real"] and quiz.results.quality.tolist() == [3]
    first, second = [message for message, _ in page.messages]
    assert first["feedback"] == second["feedback"] and (first["nonce"], second["nonce"]) == ("real 1", "synthetic 1")


def test_answers_without_a_browser():
    quiz = Quiz(noise(10), noise(10, seed=1), n=4)
    assert quiz.summary() == "0 of 4 answered" and len(quiz.results) == 0
    truth = quiz._truth[0]
    assert quiz.answer(truth, quality=4) == f"Right: image 1 is {truth}."
    with pytest.raises(ValueError, match="must be 'real' or 'synthetic'"):
        quiz.answer("fake", quality=4)
    with pytest.raises(ValueError, match="whole number from 1"):
        quiz.answer("real")
    row = quiz.results.iloc[0]
    assert (row["item"], row.truth, row.answer, row.correct, row.quality) == (1, truth, truth, True, 4)
    assert np.isnan(row.rt_ms) and not row.simulated
    for _ in range(3):
        quiz.answer("real", quality=1)
    with pytest.raises(ValueError, match="all 4 images are answered"):
        quiz.answer("real", quality=1)
    with pytest.raises(ValueError, match="does not ask"):
        Quiz(noise(10), noise(10), quality=False).answer("real", quality=1)


def rows(hits, false_alarms, n):
    """n items a class, of which so many are called synthetic."""
    made = [("synthetic", i < hits) for i in range(n)] + [("real", i < false_alarms) for i in range(n)]
    return [{"truth": truth, "answer": "synthetic" if called else "real", "correct": called == (truth == "synthetic"),
             "rt_ms": None, "simulated": False} for truth, called in made]


def test_summary_by_hand():
    # z(0.8) - z(0.2) = 1.683; Wilson's interval of 16 of 20 is 0.584 to 0.919.
    text = "\n".join(summarise(rows(8, 2, 10), 20))
    assert "Accuracy 0.80 (16 of 20), 95 % interval 0.58 to 0.92 (Wilson)" in text
    assert "d' 1.68" in text and "criterion 0.00" in text and "Chance" not in text


def test_summary_invents_nothing():
    always = "\n".join(summarise(rows(10, 10, 10), 20))
    assert "not estimable" in always and "Every answer was 'synthetic'" in always and "d' 0" not in always
    assert "not estimable" in "\n".join(summarise(rows(10, 3, 10), 20))
    assert "does not show that they cannot be told apart" in "\n".join(summarise(rows(6, 5, 10), 20))


def test_the_simulated_reader_has_its_dprime_and_is_labelled():
    from scipy.stats import norm

    quiz = Quiz(noise(1000, 4), noise(1000, 4, seed=1), n=2000)
    quiz.autoplay(dprime=1.5, criterion=0.3, seed=5)
    results = quiz.results
    called = results.answer == "synthetic"
    hit, false = called[results.truth == "synthetic"].mean(), called[results.truth == "real"].mean()
    assert norm.ppf(hit) - norm.ppf(false) == pytest.approx(1.5, abs=0.2)
    assert -(norm.ppf(hit) + norm.ppf(false)) / 2 == pytest.approx(0.3, abs=0.1)
    assert results.simulated.all() and results.rt_ms.isna().all() and results.quality.between(1, 5).all()
    assert "SIMULATED READER (d' 1.5, criterion 0.3, seed 5): 2000 of 2000 answers" in quiz.summary()


# --- in a saved notebook

EXPLORER = """
from uslab.phantom import scanner
from uslab.widgets import Explorer
explorer = Explorer(scanner.Config(), scanner.scan)
display(explorer)
explorer.apply(frequency=9)
"""


@pytest.mark.notebook
def test_a_notebook_run_without_a_browser_shows_everything(run_cells):
    code = """
import numpy as np
from uslab.models.dcgan import Config
from uslab.widgets import Explorer, Monitor, Quiz, knobs, show_images
monitor = Monitor(3)
display(monitor)
for step in (1, 2, 3):
    monitor.update({"step": step, "loss_d": 1 / step, "d_real": 0.5})
monitor.show(np.zeros((4, 1, 8, 8), np.uint8))
monitor.close()
"""
    images = "np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)"
    cells = [code, f"quiz = Quiz({images}, {images}, n=4)\ndisplay(quiz)", "quiz.autoplay()",
             "panel = knobs(Config())\ndisplay(panel)\npanel.apply(lr=1e-3)", EXPLORER]
    notebook = run_cells(*cells)
    board, quiz, _, panel, explorer = [[output["data"] for output in cell.outputs] for cell in notebook.cells]
    assert [sorted(data) for data in board] == [["text/html", "text/plain"], ["image/png", "text/plain"]]
    assert board[1]["text/plain"].startswith("Training board: step 3 of 3")
    assert "SIMULATED READER" in quiz[1]["text/html"] and "4 of 4 answered" in quiz[1]["text/plain"]
    assert "lr=0.001" in panel[1]["text/html"]
    assert "image/png" in explorer[1] and "frequency=9.0" in explorer[1]["text/plain"]


def test_a_quiz_shows_what_was_answered_wrongly(capsys):
    real, fake = (np.full((4, 1, 32, 32), level, np.uint8) for level in (50, 200))
    quiz = Quiz(real, fake, n=4, quality=False)
    assert quiz.review() is None and "Nothing is answered" in capsys.readouterr().out
    for _ in range(4):
        quiz.answer("real")
    figure = quiz.review()
    shown = {axis.get_title(): axis.images[0].get_array() for axis in figure.axes}
    assert list(shown) == ["synthetic, called real"]
    assert (shown["synthetic, called real"] == 200).sum() == 2 * 32 * 32
    right = Quiz(real, fake, n=2, quality=False)
    for truth in right._truth:
        right.answer(truth)
    assert right.review() is None and "All answers so far were right" in capsys.readouterr().out


@pytest.mark.parametrize("count", [1, 3, 8])
def test_titles_of_sheets_stay_above_their_own_sheet(count):
    names = ["label", "cgan_ovary_64", "pgsgan_ovary_128", "phantom ultrasound, held out", "StyleGAN2 ADA", *"abc"]
    sets = dict.fromkeys(names[:count], torch.zeros(3, 1, 32, 32, dtype=torch.uint8))
    figure = show_images(sets, rows=3, columns=1, width=8)
    figure.draw_without_rendering()
    boxes = [axis.title.get_window_extent() for axis in figure.axes]
    assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:]))
    assert all(box.y1 <= figure.bbox.y1 + 1 for box in boxes)
