"""Where the numbers of a row stand in the array ``core`` of the default detector: one name a column.

Guarantee: the order is part of the state's version; a change here is a new version.
"""

(
    LOW,  # soft range: where the row's values usually are
    HIGH,
    LEAST,  # least and greatest value seen, slow to forget
    MOST,
    FAST,  # exponentially weighted means: 0.3, 0.05 and, of clipped values, 0.002 a window
    MEDIUM,
    SLOW,
    SCALE,  # mean absolute error of the forecast
    LAST,  # newest value
    RUN,  # windows in a row that had the newest value
    SEASONAL,  # what the season expected of the newest window
    VISIT_SUM,  # of the values less the offset, in the present hour of the week
    VISIT_COUNT,
    VISIT_HOUR,  # 1 … 168; 0 = none
    OFFSET,  # by how much the level has shifted from the profile
    CLOCK,  # hours by which the season runs early (-1, 0, 1): daylight saving
    EARLY,  # mean absolute deviation from the season read an hour early, as it is, an hour late
    ONTIME,
    TARDY,
    HOURLY,  # mean deviation from the season over about an hour
    AWAY,  # mean deviation from the usual level over the last windows, for level shifts
    AWAY_SPREAD,
    USUAL_AWAY,  # usual absolute deviation from the usual level
    LASTING,  # windows in a row far from the usual level, to the same side
    TIME,  # end of the newest window, epoch seconds
    PLACE,  # newest value in units of the soft range
    CHANGE,  # mean absolute change of it
    USUAL_CHANGE,  # usual logarithm of that, and its spread
    USUAL_SPREAD,
    HOT,  # surprising windows in a row, each counted once or, the more surprising it is, up to twice
    ALIGN,  # windows left in which an inherited baseline is fitted to this row
    ALIGN_SUM,
    BURSTS,  # share of windows of late whose error was far beyond the usual one
    HELD,  # windows that what the row was before an incident has been held; -1: it may yet be none; 0: nothing is held
    CALM,  # windows of late that were like those before the incident
) = range(35)
CORE = 35

#: The tails of a row, one after the other.
RESIDUAL, SEASON, HOUR, FLAT, QUIET, DRIFT, SHAPE_16, SHAPE_48, SHAPE_96 = range(9)
TAILS = 9

#: The evidence of a row: what is summed.
BY_RESIDUAL, BY_SEASON, BY_RECORD, BY_STILLNESS, BY_DRIFT, BY_SHAPE, BY_LONG_SHAPE = range(7)
EVIDENCE = 7

#: The distribution of a row's total evidence.
TOTAL_U, TOTAL_MEAN, TOTAL_EXCESSES, TOTAL_VALUES, TOTAL_RUN = range(5)
TOTALS = 5
