"""Why an anomaly is withdrawn: how many points came late, and what they make of its worst window, or of its gap.

Guarantee: the same for the same episode or silence.
"""

from pipeline.records import US, iso
from pipeline.scoring.corrections import Episode, Silence
from pipeline.scoring.relatives import ENTITY_SIGNAL


def of_episode(episode: Episode) -> str:
    """Of one that would not have opened."""
    if episode.told is not None and episode.told.signal.name == ENTITY_SIGNAL:
        return "late_data: with points that came late no signal of it is unlikely in its windows"
    late = [each for each in episode.windows.values() if each.late and not episode.is_unlikely(each)]
    window = max(late, key=lambda each: (each.surprise, each.end_us))
    which = "" if window.late == episode.late else f" with {window.late} of them"
    return (
        f"late_data: {_points(episode.late)} came late;{which} the window from {_clock(window.start_us)} to "
        f"{_clock(window.end_us)} has {window.now:.4g} as expected, not {window.value:.4g}"
    )


def of_silence(silence: Silence, at_us: int) -> str:
    """Of one in which data were produced, as is known at ``at_us``."""
    (start_us, _), (_, end_us) = silence.heard[0], silence.heard[-1]
    return (
        f"late_data: {_points(silence.late)} came late, from {_clock(start_us)} to {_clock(end_us)}; the longest gap "
        f"was {silence.needed_us / US:g} s when this opened, and is {silence.longest_us(at_us) / US:g} s"
    )


def _points(number: int) -> str:
    return f"{number} point{'' if number == 1 else 's'}"


def _clock(time_us: int) -> str:
    return f"{iso(time_us)[:19]}Z"
