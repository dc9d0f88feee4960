// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Why a connection was refused: libpq gives no code for that, only words. Private to this room. */
#include <keepfs/base/str.h>

/** struct refusal - what refusal_parse() finds; zero-initialised */
struct refusal {
	struct str words;  /* what is left for people */
	char state[6];     /* SQLSTATE of the last one that had any; "": only libpq spoke */
	char function[64]; /* of the server's source, of the same; "" */
};

/**
 * refusal_parse() - take @verbose apart, which libpq wrote with PQERRORS_VERBOSE: there the SQLSTATE stands before the
 * server's words, and where in its source they come from behind them, both in no language
 */
void refusal_parse(struct refusal *ret, const char *verbose);
static inline void cleanup_refusal(struct refusal *r)
{
	str_finish(&r->words);
}
