// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The chain of the audit, read by whoever doubts it: does each line name the one before it, and do heads that were noted elsewhere fit? docs/formats.md,
 * "The chain of the audit". Pure; one thread.
 *
 * Lines are fed in the order of their numbers. A line is wrong by itself, or in its place; what is found of each is told once, and the chain goes on
 * from that line, so that one change does not hide another.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/codec/hash.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_chain;

/** struct audit_head - a line that was there once, by its number and its SHA-256. */
struct audit_head {
	int64_t number;
	char hash[SHA256_HEX_BYTES];
};
/** audit_head_parse() - "17:0123…", as `keepfs audit head` prints it; false when it is none. */
bool audit_head_parse(const char *text, struct audit_head *ret);

/** audit_chain_new() - @found is called with what is wrong, a sentence without a full stop, borrowed for the call. */
struct audit_chain *audit_chain_new(void (*found)(void *arg, const char *text), void *arg);
struct audit_chain *audit_chain_free(struct audit_chain *c); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(audit_chain, struct audit_chain *, audit_chain_free)

/** audit_chain_expect() - before the first line: there was such a line. @source: who says so; copied. */
void audit_chain_expect(struct audit_chain *c, const struct audit_head *head, const char *source);
/** audit_chain_feed() - the next line, without its line end. */
void audit_chain_feed(struct audit_chain *c, const char *line, size_t len);

struct audit_chain_result {
	uint64_t lines;         /* that name the one before them */
	uint64_t old;           /* of an earlier keepfs, which name none: nothing is known of them */
	int64_t first;          /* the number of the first of @lines; 0: there is none */
	bool whole;             /* it is the first there ever was: nothing before it was left out */
	struct audit_head head; /* the last one; number 0: there is none */
	uint64_t expected;      /* heads that were expected, and are there */
	uint64_t before;        /* heads of lines before the first one: nothing is known of them */
	uint64_t wrong;         /* how often something was found */
};
/** audit_chain_end() - all lines were fed: what was expected and did not come is told, too. */
void audit_chain_end(struct audit_chain *c, struct audit_chain_result *ret);
