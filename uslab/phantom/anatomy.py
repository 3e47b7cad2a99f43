"""An upper abdomen as a function of place: which tissue lies at a point, for CT and ultrasound alike.

Millimetres in the patient: x to the right, y to the front, z to the head; the origin is in the middle of the body.
"""

import numpy as np

from .solids import Ball, Tube

TISSUES = ("air", "skin", "fat", "muscle", "lung", "cortex", "marrow", "rib", "disc", "liver", "liver vein", "vein",
           "spleen", "kidney", "bile", "bowel", "gas", "stomach wall", "stomach fluid", "stomach gas", "pancreas",
           "duct", "aorta")
INDEX = {name: number for number, name in enumerate(TISSUES)}


class Anatomy:
    """One patient. tissue() gives the tissue at any points; what is drawn later lies in front of what came before."""

    def __init__(self, rng: np.random.Generator):
        def vary(*place, by=3.0):
            return tuple(np.add(place, rng.normal(0, by, 3)))

        self.half = rng.uniform(142, 168), rng.uniform(98, 118)     # of the body across and from back to front
        self.fat, self.wall = rng.uniform(8, 24), rng.uniform(9, 13)
        back = self.spine_y = -(self.half[1] - rng.uniform(62, 68))    # middle of the vertebrae
        front = back + 20                                              # of the vertebrae
        self.spine_x, self.discs = rng.normal(0, 1.5), rng.uniform(0, 34)
        self.domes = ((rng.uniform(60, 72), rng.uniform(80, 92)), (rng.uniform(-78, -66), rng.uniform(70, 82)))
        self.ribs = rng.uniform(0, 28)
        # A slow and a finer warp make every surface a little irregular.
        count = 12
        length = np.r_[rng.uniform(70, 160, count // 2), rng.uniform(24, 45, count // 2)]
        way = rng.normal(size=(count, 3))
        self.waves = (2 * np.pi * way / np.linalg.norm(way, axis=1, keepdims=True) / length[:, None],
                      rng.uniform(0, 2 * np.pi, count), rng.normal(0, 1, (count, 3))
                      * np.where(length > 60, 1.5, 0.4)[:, None])
        tall = rng.uniform(0.92, 1.08)        # size of the right and of the left lobe of the liver
        left = rng.uniform(0.75, 1.1)
        self.liver = (Ball(vary(74, front + 30, 22), (70 * tall, 80, 76 * tall), rng.normal(0, 0.1)),
                      Ball(vary(-2, front + 60, 44), (58 * left, 30, 34), rng.normal(0, 0.15)))
        hilum = vary(40, front + 40, 28)
        self.liver_veins = []
        for step in ([22, 10, 8], [18, -18, 12], [20, 0, -22], [-22, 14, 10], [-12, 20, 16]):      # portal branches
            step = vary(*step, by=4)
            self.liver_veins.append(Tube.through(
                [hilum, np.add(hilum, step), vary(*np.add(hilum, np.multiply(2, step)), by=6)], [5, 3.5, 1.5]))
        for number in range(22):       # and smaller ones, most of them in the lobe that the stomach touches
            lobe = self.liver[number % 3 > 0]
            start, step = vary(*lobe.centre, by=0.4 * min(lobe.axes)), rng.normal(0, 13, 3)
            wide = rng.uniform(1.2, 3)
            self.liver_veins.append(Tube.through(
                [start, np.add(start, step), vary(*np.add(start, 2 * step), by=5)], [wide, 0.8 * wide, 0.5 * wide]))
        self.spleen = Ball(vary(-102, front + 2, 34), (28, 47, rng.uniform(46, 56)), rng.normal(-0.3, 0.15))
        self.kidneys = [Ball(vary(side * 60, front - 16, -40 - 6 * side), (25, 25, rng.uniform(46, 56)), side * 0.6)
                        for side in (1, -1)]
        self.gallbladder = Ball(vary(56, front + 62, -18), (12, 13, rng.uniform(18, 28)))
        full = rng.uniform(0.85, 1.15)        # how far the stomach is filled
        self.stomach = Tube.through(
            [vary(-62, front + 2, 66), vary(-63, front + 20, 42), vary(-52, front + 46, 14), vary(-33, front + 62, -14),
             vary(-4, front + 63, -26), vary(24, front + 54, -18)], full * np.array([27, 29, 25, 20, 15, 8.0]))
        self.oesophagus = Tube.through([(-6, front + 18, 110), (-10, front + 22, 86), (-40, front + 14, 66)], [7, 7, 9])
        self.level = front + rng.uniform(45, 70)        # above it (the patient lies on the back) the stomach has gas
        pancreas = [vary(36, front + 26, -34), vary(24, front + 31, -20, by=2), vary(4, front + 40, -8, by=2),
                    vary(-18, front + 36, 1), vary(-42, front + 17, 8), vary(-62, front - 2, 13),
                    vary(-80, front - 12, 19)]
        thick = rng.uniform(0.85, 1.15)
        self.pancreas = Tube.through(pancreas, thick * np.array([13, 12, 8.5, 9.5, 9, 9, 7]))
        self.duct = Tube.through(pancreas, np.full(7, rng.uniform(0.8, 1.6)))
        wide = rng.uniform(9, 12)
        self.aorta = Tube.through(
            [(-16, front + 4, 110), (-13, front + 8, 60), (-10, front + 13, 10), (-8, front + 13, -40),
             (-8, front + 13, -110)], wide * np.array([1.1, 1.1, 1, 0.9, 0.85]))
        self.veins = [
            Tube.through([(24, front + 30, 80), (24, front + 18, 40), (21, front + 11, 0), (19, front + 11, -110)],
                         [11, 11, 10, 10]),
            Tube.through([vary(8, front + 34, -96), (10, front + 28, -40), (14, front + 26, -8), hilum],
                         [5, 6, 6.5, 6]),
            # The splenic vein runs behind the pancreas.
            Tube.through([(14, front + 26, -6), *(np.add(p, (0, -12, 2)) for p in pancreas[3:6]),
                          np.add(pancreas[6], (-8, -9, 4))], [4.5, 4, 4, 3.5, 3])]
        self.bowel = [
            Tube.through([vary(100, front + 12, -110), vary(102, front + 22, -60), vary(70, front + 66, -52),
                          vary(5, front + 84, -64), vary(-60, front + 72, -46), vary(-108, front + 28, -6)],
                         rng.uniform(15, 20, 6)),
            Tube.through([vary(-108, front + 28, -6), vary(-114, front + 2, -50), vary(-110, front, -110)],
                         [14, 13, 13])]
        for _ in range(9):
            start = np.array([rng.uniform(-80, 75), front + rng.uniform(30, 62), rng.uniform(-100, -62)])
            self.bowel.append(Tube.through([start, start + rng.normal(0, 18, 3), start + rng.normal(0, 24, 3)],
                                           rng.uniform(9, 13, 3)))
        self.muscles = []
        for side in (1, -1):      # psoas, crus of the diaphragm, and the long muscles of the back
            self.muscles += [
                Tube.through([(side * 26, back, 20), (side * 34, back - 2, -40), (side * 44, back + 4, -110)],
                             [7, 15, 22]),
                Tube.through([(side * 16 - 6, front + 10, 70), (side * 17 - 4, front + 6, 30), (side * 17, front, -10)],
                             [4, 5, 4]),
                Tube.through([(side * 26, back - 34, 120), (side * 30, back - 34, 0), (side * 34, back - 34, -120)],
                             [20, 23, 25])]

    def warp(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, slow: bool = False) -> list[np.ndarray]:
        """Points moved by a smooth displacement of some millimetres; slow: by its long waves alone."""
        moved = [x.copy(), y.copy(), z.copy()]
        for way, phase, step in zip(*(part[:4 if slow else None] for part in self.waves)):
            swing = np.sin(x * np.float32(way[0]) + y * np.float32(way[1]) + z * np.float32(way[2]) + np.float32(phase))
            for place, by in zip(moved, step):
                place += np.float32(by) * swing
        return moved

    def tissue(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Index into TISSUES at points in mm, float32 arrays of one shape; uint8."""
        shape = x.shape
        x, y, z = (np.ascontiguousarray(p, np.float32).ravel() for p in (x, y, z))
        found = np.zeros(x.size, np.uint8)
        body = np.flatnonzero((np.abs(x) < self.half[0] + 12) & (np.abs(y) < self.half[1] + 12))
        unwarped = x[body], y[body], z[body]
        x, y, z = self.warp(*unwarped, slow=True)      # trunk and skeleton are smooth
        a, b = np.float32(self.half)
        radius = np.sqrt(np.sqrt((x / a) ** 4 + (y / b) ** 4 + 1.5 * (x * y / (a * b)) ** 2))
        skin = (1 - 1 / np.maximum(radius, np.float32(1e-3))) * np.hypot(x, y)     # distance outside the skin
        inner = skin + np.float32(self.fat + self.wall)                            # and outside the cavity
        here = np.zeros(x.size, np.uint8)
        for name, depth in (("skin", 0), ("fat", 2), ("muscle", self.fat), ("fat", self.fat + self.wall)):
            here[skin < -depth] = INDEX[name]
        dome = np.max([top - ((x - np.float32(at)) ** 2 + (y - np.float32(self.spine_y + 60)) ** 2) / np.float32(120)
                       for at, top in self.domes], axis=0)
        chest = z - dome
        here[(chest > -3) & (inner < 0)] = INDEX["muscle"]
        here[(chest > 0) & (inner < 0)] = INDEX["lung"]
        room = (inner < -2) & (chest < -4)
        self.draw_bones(here, x, y, z, skin)
        bone = np.isin(here, [INDEX[name] for name in ("cortex", "marrow", "disc", "rib")])
        x, y, z = self.warp(*unwarped)

        def draw(organ, name, within=None, margin=0.0):
            low, high = organ.box()
            near = np.flatnonzero((x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1])
                                  & (z > low[2]) & (z < high[2]))
            near = near if within is None else near[within[near]]
            inside = organ.outside(x[near], y[near], z[near]) < -margin
            here[near[inside]] = INDEX[name]
            return near[inside]

        for organ in self.muscles:
            draw(organ, "muscle", (skin < -self.fat) & ~bone)
        for lobe in self.liver:
            draw(lobe, "liver", room)
        for vein in self.liver_veins:
            draw(vein, "liver vein", here == INDEX["liver"])
        draw(self.gallbladder, "bile", room)
        draw(self.spleen, "spleen", room)
        for kidney in self.kidneys:
            draw(kidney, "kidney", room)
            sinus = kidney.centre[0] * 0.85, kidney.centre[1] + 3, kidney.centre[2]
            draw(Ball(sinus, tuple(0.45 * h for h in kidney.axes), kidney.turn), "fat")
        for loop in self.bowel:
            lumen = draw(loop, "bowel", room)
            gas = lumen[loop.outside(x[lumen], y[lumen] - 8, z[lumen]) < -9]
            here[gas[y[gas] > self.level - 10]] = INDEX["gas"]
        draw(self.oesophagus, "muscle")
        draw(self.stomach, "stomach wall", room)
        lumen = draw(self.stomach, "stomach fluid", room, 4.0)
        here[lumen[y[lumen] > self.level]] = INDEX["stomach gas"]
        for vein in self.veins:
            draw(vein, "vein")
        kept = np.isin(here, [INDEX[name] for name in ("vein", "stomach fluid", "stomach gas")]) | bone
        draw(self.pancreas, "pancreas", ~kept)
        draw(self.duct, "duct", here == INDEX["pancreas"])
        draw(self.aorta, "aorta", ~bone)
        found[body] = here
        return found.reshape(shape)

    def draw_bones(self, here: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, skin: np.ndarray) -> None:
        """Vertebrae with their discs, arches and processes, and the ribs in the wall."""
        dx, dy = np.abs(x - np.float32(self.spine_x)), y - np.float32(self.spine_y)
        near = np.flatnonzero((dx < 48) & (np.abs(dy + 15) < 55))
        u, v, w = dx[near], dy[near], z[near]
        around = np.hypot(u / 1.15, v)
        along = (w + np.float32(self.discs)) % 34
        body = around < np.where(along < 8, 18, 19 + 0.02 * (along - 21) ** 2 / 4)
        arch = (np.abs(np.hypot(u, v + 24) - 11) < 3) | ((u < 3.5) & (v < -32) & (v > -47) & (along > 8))
        arch |= (np.abs(v + 24 + 0.25 * u) < 5 - 0.08 * u) & (u < 38) & (np.abs(along - 22) < 6 - 0.08 * u)
        inside = np.where((around < 15.5) & (along > 10), INDEX["marrow"], INDEX["cortex"])
        kind = np.where(body, np.where(along < 8, INDEX["disc"], inside), 0)
        kind = np.where(arch, INDEX["cortex"], kind)
        kind[np.hypot(u, v + 24) < 8] = INDEX["muscle"]       # the canal
        here[near[kind > 0]] = kind[kind > 0]
        wall = np.abs(skin + np.float32(self.fat + 0.5 * self.wall)) < 3.2
        height = (z + np.float32(self.ribs) - 0.45 * y + 0.1 * np.abs(x)) % 30
        here[wall & (height < 11) & (y < 55) & (z > -70 + 0.5 * y)] = INDEX["rib"]
