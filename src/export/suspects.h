// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Does a value look like a secret, though no rule says anything of its column? Each value of each row is asked, so that none is passed over. Pure. */
#include <keepfs/base/str.h>
#include <keepfs/codec/copy_text.h>

#define SUSPICIOUS_MIN_BYTES 8 /* shorter values are no keys */

enum suspect_form {
	SUSPECT_NOT, /* nobody looks at it */
	SUSPECT_TEXT,
	SUSPECT_ARRAY, /* of texts: each element */
	SUSPECT_JSON,  /* keys and strings within it */
	SUSPECT_WORDS, /* a composite value as text */
};

/** suspicion_of_field() - why; static; NULL: it does not. @scratch: for a value with escapes; its content is lost. */
const char *suspicion_of_field(enum suspect_form form, const struct copy_field *field, struct str *scratch);
