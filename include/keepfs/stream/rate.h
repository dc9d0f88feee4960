// SPDX-License-Identifier: Apache-2.0
#pragma once
/** A limit of bytes per second that several threads share: a token bucket of one second's worth, empty at the
 * beginning: after a pause a short burst passes at once, and the mean over any longer time keeps to the
 * limit. */
#include <keepfs/base/cancel.h>
#include <stdint.h>

struct rate;
struct rate *rate_new(uint64_t bytes_per_s); /* 0: no limit, never waits */
struct rate *rate_free(struct rate *r);
/** rate_take() - account for @bytes that were moved; sleeps while the account is overdrawn. NULL @r never
 * waits. -ECANCELED. */
int rate_take(struct rate *r, uint64_t bytes, struct cancel *cancel);
