"""Simulated readers with a known d', criterion, lapses and drift: for tests, for teaching, and to try a design out."""

from dataclasses import dataclass

import numpy as np

from uslab.study.protocol import LEFT, REAL, RIGHT, SYNTHETIC, Protocol

STEPS = (0.5, 1.0)      # evidence from the criterion at which a reader is probably and then surely right


@dataclass(frozen=True)
class SimulatedReader:
    """Equal-variance signal detection (Green and Swets 1966).

    Evidence for 'synthetic' is normal with standard deviation 1. Its mean lies d' of the method above that of real
    images, and zero lies halfway (of the mean d', with several methods). The reader says 'synthetic' above the
    criterion.
    """

    dprime: float | dict[str, float] = 1.0      # of all methods, or of each
    criterion: float = 0.0                      # above 0 the reader leans to 'real'
    lapse: float = 0.0                          # share of trials that are answered at random, 0 to 1
    drift: float = 0.0                          # by so much d' grows from the first to the last trial: learning
    consistency: float = 0.5    # share of the evidence's variance that an image keeps when it is shown again, 0 to 1
    seed: int = 0

    def sees(self, truth: str, method: str, time: float, rng: np.random.Generator, own: float | None = None) -> float:
        """Evidence that one image is synthetic; time runs from 0, the first trial, to 1. Noise is plain to see.

        own: the part that this image keeps, standard normal; None: it is not shown again.
        """
        if truth not in (REAL, SYNTHETIC):
            return 6.0
        middle = float(np.mean([*self.dprime.values()])) if isinstance(self.dprime, dict) else self.dprime
        middle += self.drift * (time - 0.5)
        scatter = rng.normal()
        if own is not None:
            scatter = np.sqrt(self.consistency) * own + np.sqrt(1 - self.consistency) * scatter
        if truth == REAL:
            return scatter - middle / 2
        mean = self.dprime.get(method, middle) + self.drift * (time - 0.5) if isinstance(self.dprime, dict) else middle
        return scatter + mean - middle / 2

    def respond(
        self,
        protocol: Protocol,
        shown: list[tuple],                 # truth, method and perhaps `own` of the image, or of the left and right one
        time: float,                        # 0 first trial, 1 last
        rng: np.random.Generator,
    ) -> dict:
        """choice, confidence and quality as Session.answer takes them."""
        evidence = [self.sees(truth, method, time, rng, *own) for truth, method, *own in shown]
        if rng.random() < self.lapse:
            evidence = list(rng.normal(0, 1, len(evidence)))
        reply = {"choice": None, "confidence": None, "quality": None}
        if protocol.pair:
            # The less synthetic of two; the difference has standard deviation sqrt 2.
            reply["choice"] = LEFT if evidence[0] < evidence[1] else RIGHT
        elif protocol.buttons:
            above = evidence[0] - self.criterion
            reply["choice"] = SYNTHETIC if above > 0 else REAL
            if protocol.buttons[0].confidence:
                reply["confidence"] = 1 + sum(bool(abs(above) > step) for step in STEPS)
        if protocol.quality:
            reply["quality"] = int(np.clip(np.rint((1 + len(protocol.quality)) / 2 - evidence[0] + rng.normal(0, 0.5)),
                                           1, len(protocol.quality)))
        return reply
