"""Cine clips as stimuli: frames that share a clip become one, in their order, and all clips are made equally long."""

from dataclasses import replace

import numpy as np

from uslab.study.pack import Source


def together(origins: list[Source]) -> list[Source]:
    """Origins of clips (F, H, W) from origins of frames; a clip is called and grouped as its first frame's row says.

    Raises ValueError, naming origin and file, for what is no clip: in one study all stimuli move, or none does.
    """
    return [joined(origin) for origin in origins]


def joined(origin: Source) -> Source:
    if not origin.clips:
        raise ValueError(f"{origin.name}: clips are to be shown (fps), but these are still images: give a set, or a "
                         "folder with labels.csv, whose column clip names the clip of each frame; stills and clips do "
                         "not mix")
    if "" in origin.clips:
        raise ValueError(f"{origin.name}: {origin.files[origin.clips.index('')]} belongs to no clip: stills and clips "
                         "do not mix; name its clip, or leave it out")
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(origin.clips):
        rows.setdefault(name, []).append(row)
    for name, own in rows.items():
        if len(own) < 2:
            raise ValueError(f"{origin.name}: the clip {name} has one frame, so it is a still: leave it out")
        if len({origin.images[row].shape for row in own}) > 1:
            raise ValueError(f"{origin.name}: the frames of the clip {name} differ in size")
    groups = origin.groups and [origin.groups[own[0]] for own in rows.values()]
    return replace(origin, images=[np.stack([origin.images[row] for row in own]) for own in rows.values()],
                   files=list(rows), groups=groups, clips=None)


def cut(
    origins: list[Source],      # of clips
    frames: int,                # of each clip, from its first on; 0: as many as the shortest has
) -> list[Source]:
    """The clips at one length, which tells nothing. Raises ValueError, naming the clip, if one is shorter."""
    least, name = min((len(clip), f"{origin.name} {file}") for origin in origins
                      for clip, file in zip(origin.images, origin.files))
    if frames > least:
        raise ValueError(f"{frames} frames are asked for, but {name} has {least}: take fewer, or leave it out")
    return [replace(origin, images=[clip[:frames or least] for clip in origin.images]) for origin in origins]
