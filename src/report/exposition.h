// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Prometheus's text exposition format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/):
 * families of samples. All samples of a family follow its head; units are seconds and bytes.
 */
#include <keepfs/base/histogram.h>
#include <keepfs/base/spool.h>

#include <stdint.h>

/** LABELS() - "key", value, … of one sample; values may be any text. NO_LABELS for none. */
#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_LABELS   ((const char *const[]){NULL})

/** expose_family() - the head of a family. @type: "counter", "gauge" or "histogram"; @help: without line ends
 * and backslashes. */
void expose_family(struct spool *out, const char *name, const char *type, const char *help);
void expose_number(struct spool *out, const char *name, const char *const *labels, uint64_t value);
/** expose_real() - a number that is not whole, not negative and finite. */
void expose_real(struct spool *out, const char *name, const char *const *labels, double value);
/** expose_seconds() - microseconds (not negative) as seconds. */
void expose_seconds(struct spool *out, const char *name, const char *const *labels, int64_t us);
/** expose_histogram() - its buckets, each with those before it, its sum in seconds and its count. */
void expose_histogram(struct spool *out, const char *name, const char *const *labels,
                      const struct histogram *h);

/** expose_counter(), expose_gauge() - a family of one sample without labels. */
void expose_counter(struct spool *out, const char *name, const char *help, uint64_t value);
void expose_gauge(struct spool *out, const char *name, const char *help, uint64_t value);
