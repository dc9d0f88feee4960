// SPDX-License-Identifier: Apache-2.0
#include <keepfs/policy/anomaly.h>

#include <stdlib.h>
#include <string.h>

#define HISTORY_LEAST 3
#define UNKNOWN       (-1.0)
/* Of a normal distribution the median of the deviations is the standard deviation by this. */
#define DEVIATIONS_PER_MEDIAN 1.4826
#define DEVIATIONS_USUAL      5
#define PART_USUAL            0.25
#define ZERO_SCORE            100.0
/* What does not compress (encrypted, or compressed before) has a ratio near 1. */
#define RATIO_OF_NOISE 1.15
#define RATIO_OF_DATA  1.5
/* Equal to the byte over so many backups and so much time. A weekend, or a night of hourly backups, is nothing unusual. */
#define CONSTANT_BACKUPS 5
#define CONSTANT_S       (72 * 3600)

static const struct {
	const char *name;
	double least; /* smaller changes are none */
	bool falls, grows;
} figures[ANOMALY_FIGURES] = {
        [ANOMALY_SIZE] = {"size", 64 << 10, true, true},
        [ANOMALY_RAW] = {"raw bytes", 64 << 10, true, true},
        [ANOMALY_ROWS] = {"rows", 100, true, true},
        [ANOMALY_TABLES] = {"tables", 3, true, true},
        [ANOMALY_DURATION] = {"duration", 300, false, true},
        [ANOMALY_RATIO] = {"compression ratio", 0.2, true, true},
};

const char *anomaly_figure_name(enum anomaly_figure figure)
{
	return figures[figure].name;
}

/* What is looked at. */

struct history {
	const struct anomaly_backup *backups; /* the first is judged */
	size_t count;
};

static double figure_of(const struct anomaly_backup *b, enum anomaly_figure figure)
{
	if (figure != ANOMALY_RATIO)
		return b->figures[figure] < 0 ? UNKNOWN : (double)b->figures[figure];
	if (b->figures[ANOMALY_RAW] <= 0 || b->figures[ANOMALY_SIZE] <= 0)
		return UNKNOWN;
	return (double)b->figures[ANOMALY_RAW] / (double)b->figures[ANOMALY_SIZE];
}

/* Those before the one that is judged, as far as they are known. */
static size_t known_before(const struct history *h, enum anomaly_figure figure,
                           double ret[static ANOMALY_HISTORY])
{
	size_t known = 0;

	for (size_t i = 1; i < h->count && i <= ANOMALY_HISTORY; i++) {
		double value = figure_of(&h->backups[i], figure);

		if (value >= 0)
			ret[known++] = value;
	}
	return known;
}

static int by_figure(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_of(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), by_figure);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static double distance(double a, double b)
{
	return a < b ? b - a : a - b;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

/* How far from @median is still usual. */
static double usual_distance(enum anomaly_figure figure, const double *values, size_t count, double median)
{
	double distances[ANOMALY_HISTORY];

	for (size_t i = 0; i < count; i++)
		distances[i] = distance(values[i], median);
	return larger(larger(DEVIATIONS_USUAL * DEVIATIONS_PER_MEDIAN * median_of(distances, count),
	                     PART_USUAL * median),
	              figures[figure].least);
}

bool anomaly_usual_of(enum anomaly_figure figure, const double *values, size_t count,
                      struct anomaly_usual *ret)
{
	double sorted[ANOMALY_HISTORY];

	if (count < HISTORY_LEAST || count > ANOMALY_HISTORY)
		return false;
	memcpy(sorted, values, count * sizeof(*values));
	ret->median = median_of(sorted, count);
	ret->around = usual_distance(figure, values, count, ret->median);
	return true;
}

/* How far it is away, in parts of what is usual; 0 on the side that does not matter. */
static double unusual_by(enum anomaly_figure figure, const struct anomaly_usual *usual, double value)
{
	if (value < usual->median ? !figures[figure].falls : !figures[figure].grows)
		return 0;
	return distance(value, usual->median) / usual->around;
}

bool anomaly_is_unusual(enum anomaly_figure figure, const struct anomaly_usual *usual, double value)
{
	return unusual_by(figure, usual, value) >= 1;
}

/* The rules. Each says whether it has found something. */

static bool is_critical_fall(enum anomaly_figure figure, double value, double usual)
{
	if (figure == ANOMALY_RATIO)
		return value < RATIO_OF_NOISE && usual >= RATIO_OF_DATA;
	return figure != ANOMALY_TABLES && value < usual / 2;
}

static bool find_unusual(const struct history *h, enum anomaly_figure figure, struct anomaly_finding *ret,
                         double *score)
{
	double before[ANOMALY_HISTORY], value = figure_of(h->backups, figure), by;
	size_t known = known_before(h, figure, before);
	struct anomaly_usual usual;

	if (value < 0 || !anomaly_usual_of(figure, before, known, &usual))
		return false;
	by = unusual_by(figure, &usual, value);
	*score = larger(*score, by);
	if (by < 1)
		return false;
	*ret = (struct anomaly_finding){
	        .figure = figure,
	        .shape = value < usual.median ? ANOMALY_FELL : ANOMALY_GREW,
	        .critical = value < usual.median && is_critical_fall(figure, value, usual.median),
	        .value = value,
	        .usual = usual.median,
	};
	return true;
}

/* Nothing at all is never usual, however few there are to compare with. */
static bool find_zero(const struct history *h, enum anomaly_figure figure, struct anomaly_finding *ret,
                      double *score)
{
	double before[ANOMALY_HISTORY], most = 0;
	size_t known = known_before(h, figure, before);

	if (figure == ANOMALY_DURATION || figure_of(h->backups, figure) != 0)
		return false;
	for (size_t i = 0; i < known; i++)
		most = larger(most, before[i]);
	if (most <= 0 && figure != ANOMALY_SIZE)
		return false;
	*score = larger(*score, ZERO_SCORE);
	*ret = (struct anomaly_finding){
	        .figure = figure, .shape = ANOMALY_ZERO, .critical = true, .usual = most};
	return true;
}

/* Where tables come and go, like those of days and months, one less is nothing unusual. */
static bool find_vanished(const struct history *h, struct anomaly_finding *ret, double *score)
{
	double before[ANOMALY_HISTORY], value = figure_of(h->backups, ANOMALY_TABLES);
	size_t known = known_before(h, ANOMALY_TABLES, before);

	if (value < 0 || known == 0 || value >= before[0])
		return false;
	for (size_t i = 1; i < known; i++)
		if (before[i - 1] < before[i])
			return false;
	*score = larger(*score, 1);
	*ret = (struct anomaly_finding){
	        .figure = ANOMALY_TABLES, .shape = ANOMALY_VANISHED, .value = value, .usual = before[0]};
	return true;
}

static bool is_same_data(const struct anomaly_backup *a, const struct anomaly_backup *b)
{
	return a->figures[ANOMALY_RAW] == b->figures[ANOMALY_RAW] &&
	       a->figures[ANOMALY_ROWS] == b->figures[ANOMALY_ROWS];
}

static bool has_figures(const struct anomaly_backup *b)
{
	return b->figures[ANOMALY_RAW] > 0 && b->figures[ANOMALY_ROWS] > 0;
}

/* A database that changed from backup to backup, and stands still since: a stopped replica, or another server. */
static bool find_constant(const struct history *h, struct anomaly_finding *ret, double *score)
{
	size_t same = 1, changes = 0;

	if (!has_figures(h->backups))
		return false;
	while (same < h->count && is_same_data(h->backups, &h->backups[same]))
		same++;
	if (same < CONSTANT_BACKUPS || h->backups[0].at_s - h->backups[same - 1].at_s < CONSTANT_S)
		return false;
	for (size_t i = same; i < h->count; i++, changes++)
		if (!has_figures(&h->backups[i]) || is_same_data(&h->backups[i - 1], &h->backups[i]))
			return false;
	if (changes < HISTORY_LEAST)
		return false;
	*score = larger(*score, 1);
	*ret = (struct anomaly_finding){.figure = ANOMALY_ROWS,
	                                .shape = ANOMALY_CONSTANT,
	                                .value = figure_of(h->backups, ANOMALY_ROWS),
	                                .usual = figure_of(h->backups, ANOMALY_ROWS)};
	return true;
}

static bool find_of_figure(const struct history *h, enum anomaly_figure figure, struct anomaly_finding *ret,
                           double *score)
{
	if (find_zero(h, figure, ret, score) || find_unusual(h, figure, ret, score))
		return true;
	if (figure == ANOMALY_TABLES)
		return find_vanished(h, ret, score);
	return figure == ANOMALY_ROWS && find_constant(h, ret, score);
}

size_t anomaly_find(const struct anomaly_backup *backups, size_t count,
                    struct anomaly_finding ret[static ANOMALY_FIGURES], double *ret_score)
{
	const struct history h = {backups, count};
	size_t found = 0;

	*ret_score = 0;
	for (int figure = 0; count > 0 && figure < ANOMALY_FIGURES; figure++)
		if (find_of_figure(&h, (enum anomaly_figure)figure, &ret[found], ret_score))
			found++;
	return found;
}
