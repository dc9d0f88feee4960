// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Is a backup like those before it? A run that succeeds may still have saved nothing of use: a database that was emptied,
 * encrypted, or is not the one that it was. Pure: figures in, findings out.
 *
 * Each figure is compared with the median of the last ten backups of the same kind, of which three at least must be known. It is
 * unusual when it is further away than five standard deviations, as the median of the deviations tells them, and also
 * further than a quarter of the median and than a small amount of its own. So one backup that was unusual does not move
 * what is usual, and a job whose figures always jump about is left alone. Of a duration only a longer one counts.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** ANOMALY_HISTORY - how many backups before the one that is judged are looked at. */
#define ANOMALY_HISTORY 10

enum anomaly_figure {
	ANOMALY_SIZE,     /* bytes of the backup */
	ANOMALY_RAW,      /* bytes of the data before compression */
	ANOMALY_ROWS,     /* rows; files, of an archive of a directory */
	ANOMALY_TABLES,   /* tables with data */
	ANOMALY_DURATION, /* seconds */
	ANOMALY_RATIO,    /* raw bytes by stored ones: made of the first two, not given */
	ANOMALY_FIGURES
};

/** struct anomaly_backup - the figures of one; -1: not known. */
struct anomaly_backup {
	int64_t at_s; /* when it was made */
	int64_t figures[ANOMALY_RATIO];
};

enum anomaly_shape {
	ANOMALY_FELL,
	ANOMALY_GREW,
	ANOMALY_ZERO,     /* it is nothing, and was something, or a backup of no bytes */
	ANOMALY_VANISHED, /* there are fewer tables than in the backup before, and there never were */
	ANOMALY_CONSTANT, /* bytes and rows are the same for days, and used to change each time */
};

struct anomaly_finding {
	enum anomaly_figure figure;
	enum anomaly_shape shape;
	bool critical;       /* zero; less than half of what is usual; data that does not compress any more */
	double value, usual; /* of the backup; the median, or the figure of the backup before */
};

/**
 * anomaly_find() - judge the first of @backups
 * @backups: the newest first, all of one kind (what they hold, and in which format)
 * @ret:     what is unusual, at most one finding for each figure
 * @ret_score: how unusual the figure is that is most so; from 1 on it is a finding
 *
 * Return: how many findings.
 */
size_t anomaly_find(const struct anomaly_backup *backups, size_t count,
                    struct anomaly_finding ret[static ANOMALY_FIGURES], double *ret_score);
/** struct anomaly_usual - what is usual of a figure: @median, and what lies less than @around away from it. */
struct anomaly_usual {
	double median, around;
};
/**
 * anomaly_usual_of() - what anomaly_find() takes for usual
 * @values: of the backups before the one that is judged, at most ANOMALY_HISTORY, in any order
 *
 * Return: false: there are too few.
 */
bool anomaly_usual_of(enum anomaly_figure figure, const double *values, size_t count,
                      struct anomaly_usual *ret);
/** anomaly_is_unusual() - false also of a figure that is on that side on which it may be anything. */
bool anomaly_is_unusual(enum anomaly_figure figure, const struct anomaly_usual *usual, double value);
/** anomaly_figure_name() - "size", "raw bytes", "rows", …: static. */
const char *anomaly_figure_name(enum anomaly_figure figure);
