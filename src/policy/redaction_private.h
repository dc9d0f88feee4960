// SPDX-License-Identifier: Apache-2.0
#pragma once
/** How rules of redaction are written, and what a name of a column gives away. */
#include "names.h"

#include <keepfs/policy/redaction.h>

struct redaction_rule {
	struct policy_name
	        name; /* a column, with its table and schema where they are named; of a type: the type, with its schema */
	char **keys; /* heap */
	size_t key_count;
	enum redaction_how how;
};
void redaction_rule_finish(struct redaction_rule *r);
static inline void cleanup_redaction_rule(struct redaction_rule *r)
{
	redaction_rule_finish(r);
}
/** redaction_rule_parse() - NULL; or what is wrong, static. @ret is to be finished in both cases. */
const char *redaction_rule_parse(const char *text, struct redaction_rule *ret);
/** redaction_type_parse() - the same of a type: "secret_text:null"; its name is taken as it is, with blanks within */
const char *redaction_type_parse(const char *text, struct redaction_rule *ret);
/** redaction_comment_parse() - what a comment asks for; NONE: nothing. NULL; or what is wrong with what it says behind "keepfs:", static. */
const char *redaction_comment_parse(const char *comment, enum redaction_how *ret);

/** redaction_name_suspicion() - why a column looks like a secret, by its name, its table's and its type; NULL: it does not. Static. */
const char *redaction_name_suspicion(const struct tenancy_table *t, const struct tenancy_column *c);
