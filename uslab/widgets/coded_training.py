"""What the notebooks ask to be written of a training: losses, ADA's controller, spectral norm, a fade-in."""

import numpy as np
import torch

from .coding import asked

EDGE = 200.0    # a logit at which log(sigmoid) is no number any more in float32


def normal(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.as_tensor(rng.normal(size=shape), dtype=torch.float32)


def softplus(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.softplus(x)


def gap(a, b):
    return (a - b).abs().mean()


@asked("01_dcgan_fetal_head", lambda rng: (torch.cat([normal(rng, 6) * 3, torch.tensor([-EDGE])]),), [
    "What is -log of a sigmoid? Write it down and simplify before you write code.",
    "-log(1 / (1 + e^-l)) = log(1 + e^-l).",
    "torch.nn.functional.softplus(x) is log(1 + e^x) and never overflows; which sign has x? Then the mean."],
    {"That is log(1 - D(G(z))), the saturating loss: flat where G is bad.": lambda x: -softplus(x).mean(),
     "That rises with D(G(z)): descending it, G would try to be found out.": lambda x: softplus(x).mean(),
     "It is right but for its sign: G is to descend the loss, so a better G has a lower one.":
         lambda x: -softplus(-x).mean(),
     "That is the sum over the batch: the size of a step would grow with the batch.": lambda x: softplus(-x).sum(),
     "One value an image: they still have to be averaged.": lambda x: softplus(-x),
     "That is right on paper, but infinite at a logit of -200, where float32 rounds the sigmoid to 0.":
         lambda x: -torch.log(torch.sigmoid(x)).mean()})
def non_saturating(logits):
    """The loss of G: -log D(G(z)), averaged over the batch.

    logits: float tensor (n,), what D says of G's images before the sigmoid; -200 may occur.
    """
    return torch.nn.functional.softplus(-logits).mean()


def one_sure(logits: torch.Tensor) -> torch.Tensor:
    """With an answer that outweighs all others in their mean."""
    logits[0] = -300
    return logits


def controlled(rise=lambda r: np.sign(r - 0.6), r=lambda logits: logits.sign().mean().item(), thousand=1000,
               least=0.0, most=0.8):
    """next_p, or a mistaken one."""
    return lambda p, logits, kimg: min(max(p + rise(r(logits)) * len(logits) / (kimg * thousand), least), most)


@asked("02_stylegan2_breast", lambda rng: (
    float(rng.choice([0.0, 0.4, 0.8])), one_sure(normal(rng, 64) + float(rng.choice([0.4, 3]))), 0.25), [
    "First r: the mean of the signs of the logits. Then a step up or down. Then the limits.",
    "From 0 to 1 in kimg thousand images: these len(logits) images are worth len(logits) / (1000 * kimg).",
    "p + step if r > 0.6, p - step if r < 0.6; then min(max(..., 0), 0.8)."],
    {"It goes down where D overfits: r above 0.6 means that D is too sure, so that p has to rise.":
         controlled(lambda r: np.sign(0.6 - r)),
     "r is the mean of the logits' signs, not of the logits: one very sure answer would rule all others.":
         controlled(r=lambda logits: logits.mean().item()),
     "Nothing keeps p between 0 and 0.8.": controlled(least=-np.inf, most=np.inf),
     "p stops at 1, not at 0.8, above which the augmentations leak.": controlled(most=1.0),
     "The step is a thousand times too large: kimg counts thousands of images.": controlled(thousand=1),
     "The step follows how far r is from 0.6; ADA's has one length, and only its direction depends on r.":
         controlled(lambda r: r - 0.6)})
def next_p(p, logits, kimg):
    """ADA's next p, between 0 and 0.8: up where r_t is above 0.6, down where it is below.

    logits: float tensor (n,), what D says of n augmented real images; r_t is their signs' mean.
    kimg: thousands of images that it would take p to get from 0 to 1.
    """
    r = logits.sign().mean().item()
    step = len(logits) / (1000 * kimg)
    p = p + step if r > 0.6 else p - step if r < 0.6 else p
    return min(max(p, 0.0), 0.8)


class Turn(torch.nn.Module):
    """A generator that anybody can follow: turned, and half as bright."""

    def forward(self, x):
        return 0.5 * x.flip(3) + 0.1


@asked("03_cyclegan_ct_to_eus", lambda rng: (
    normal(rng, 2, 1, 4, 5), normal(rng, 3, 1, 4, 5), torch.nn.Tanh(), Turn()), [
    "An image goes through both generators and is compared with itself.",
    "x to to_us, the result to to_ct, and that beside x; then y the other way round.",
    "(to_ct(to_us(x)) - x).abs().mean(), and the same for y through to_ct first; add the two."],
    {"That is one of the two directions: the ultrasound has to come back, too.":
         lambda x, y, g, f: gap(f(g(x)), x),
     "That is one of the two directions: the CT has to come back, too.": lambda x, y, g, f: gap(g(f(y)), y),
     "The differences are squared; the cycle loss is an L1, which keeps edges sharp.":
         lambda x, y, g, f: (f(g(x)) - x).square().mean() + (g(f(y)) - y).square().mean(),
     "The translation is compared with what it was made from: then the best generator does nothing at all. "
     "It has to come back first.": lambda x, y, g, f: gap(g(x), x) + gap(f(y), y),
     "That is the identity loss: each generator on an image of the domain that it makes.":
         lambda x, y, g, f: gap(g(y), y) + gap(f(x), x),
     "The two generators are in each other's place: CT has to go through to_us first.":
         lambda x, y, g, f: gap(g(f(x)), x) + gap(f(g(y)), y)})
def cycle_loss(x, y, to_us, to_ct):
    """How far CT x and ultrasound y are from themselves after both generators: two means, added.

    x, y: float tensors (n, 1, h, w) and (m, 1, h, w).
    to_us, to_ct: the generators, functions of such a tensor.
    """
    return (to_ct(to_us(x)) - x).abs().mean() + (to_us(to_ct(y)) - y).abs().mean()


def of_values(rng: np.random.Generator, values: list[float]) -> torch.Tensor:
    """A matrix with these singular values."""
    turns = [np.linalg.qr(rng.normal(size=(side, len(values))))[0] for side in (6, 5)]
    return torch.as_tensor(turns[0] * values @ turns[1].T, dtype=torch.float32)


@asked("04_stackgan_liver", lambda rng: (of_values(rng, [6 * rng.uniform(0.2, 2), 2, 1]), normal(rng, 6), 30), [
    "A vector that goes through W and back again and again turns into the direction that W stretches most.",
    "v = W.T u, to length 1; u = W v, to length 1; again, `steps` times.",
    "Then sigma = u @ W @ v, and the answer is W / sigma."],
    {"W is divided by its Frobenius norm, the root of the sum of all squares: that shrinks too much.":
         lambda w, u, steps: w / w.norm(),
     "W is divided by sigma squared: a way through W and back stretches twice.":
         lambda w, u, steps: w / torch.linalg.matrix_norm(w, 2) ** 2,
     "That is sigma itself; W divided by it is wanted.": lambda w, u, steps: torch.linalg.matrix_norm(w, 2),
     "W is divided by its largest entry, which is not what it stretches by.":
         lambda w, u, steps: w / w.abs().max(),
     "W is multiplied by sigma.": lambda w, u, steps: w * torch.linalg.matrix_norm(w, 2)})
def spectrally_normalised(w, u, steps):
    """W divided by its largest singular value, which power iteration finds: no SVD.

    w: float tensor (n, m). u: float tensor (n,), where to start. steps: how many iterations.
    """
    for _ in range(steps):
        v = w.T @ u
        v = v / v.norm()
        u = w @ v
        u = u / u.norm()
    return w / (u @ w @ v)


def enlarge(x: torch.Tensor) -> torch.Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


@asked("05_pgsgan_ovary", lambda rng: (
    normal(rng, 2, 1, 3, 4), normal(rng, 2, 1, 6, 8), float(rng.uniform(0.1, 0.4))), [
    "At alpha 0 the network has to say exactly what it said before it grew.",
    "Enlarge the old image: each pixel becomes four of the same value.",
    "torch.nn.functional.interpolate(old, scale_factor=2), which takes the nearest; then two shares that add up to 1."],
    {"alpha is at the wrong one: at 0 the new layers, which have learnt nothing, would be all that there is.":
         lambda old, new, a: a * enlarge(old) + (1 - a) * new,
     "The old image keeps its full strength, so the sum gets brighter as alpha rises.":
         lambda old, new, a: enlarge(old) + a * new,
     "The enlarged image is smoothed; here each old pixel becomes four of the same value.":
         lambda old, new, a: a * new + (1 - a) * torch.nn.functional.interpolate(old, scale_factor=2, mode="bilinear"),
     "The old image is tiled, not enlarged.": lambda old, new, a: a * new + (1 - a) * old.repeat(1, 1, 2, 2)})
def fade_in(old, new, alpha):
    """The image while a network grows: alpha of the new layers, the rest of the enlarged old one.

    old: float tensor (n, 1, s, t). new: (n, 1, 2 s, 2 t). alpha: from 0 to 1.
    """
    enlarged = torch.nn.functional.interpolate(old, scale_factor=2)
    return alpha * new + (1 - alpha) * enlarged


def both(logits, made, real, weight, sign=-1, of_gan=1.0, l1=gap):
    """loss_of_g, or a mistaken one."""
    return of_gan * softplus(sign * logits).mean() + weight * l1(made, real)


@asked("05_pgsgan_ovary", lambda rng: (
    normal(rng, 2, 1, 3, 3), normal(rng, 2, 1, 6, 8), normal(rng, 2, 1, 6, 8), float(rng.uniform(20, 100))), [
    "Two means: one over D's judgements, one over pixels.",
    "-log of a sigmoid is softplus of minus the logit; notebook 01 asks for it, too.",
    "softplus(-logits).mean() + weight * (made - real).abs().mean()."],
    {"The weight is on D's part; it belongs to L1.":
         lambda j, m, r, w: w * both(j, m, r, 0) + gap(m, r),
     "L1 is there without its weight.": lambda j, m, r, w: both(j, m, r, 1),
     "D's part is missing: L1 alone draws the mean of all that may be, which is blurred.":
         lambda j, m, r, w: both(j, m, r, w, of_gan=0),
     "D's part has the wrong sign: G would try to be found out.": lambda j, m, r, w: both(j, m, r, w, sign=1),
     "The differences are squared: that is L2, which blurs more.":
         lambda j, m, r, w: both(j, m, r, w, l1=lambda a, b: (a - b).square().mean()),
     "L1 is summed over the pixels, as in the paper's equation 2: with a weight on the mean in mind it is far too "
     "strong.": lambda j, m, r, w: both(j, m, r, w, l1=lambda a, b: (a - b).abs().sum())})
def loss_of_g(logits, made, real, weight):
    """The loss of G: -log D, averaged over all judgements, and `weight` times the mean L1.

    logits: float tensor (n, 1, p, q), D's judgements of patches before the sigmoid.
    made, real: float tensors (n, 1, h, w).
    """
    return torch.nn.functional.softplus(-logits).mean() + weight * (made - real).abs().mean()
