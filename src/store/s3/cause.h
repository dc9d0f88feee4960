// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What S3's error codes mean for us: class, errno, whether to try again, and the advice for people. */
#include <keepfs/base/error.h>
#include <stdbool.h>

enum s3_advice { /* texts that need facts of the request; the others are in the table */
	         S3_ADVICE_TEXT,
	         S3_ADVICE_ACCESS_KEY,
	         S3_ADVICE_SECRET_KEY,
	         S3_ADVICE_TOKEN,
	         S3_ADVICE_RIGHTS,
	         S3_ADVICE_BUCKET,
	         S3_ADVICE_REGION,
	         S3_ADVICE_CLOCK,
	         S3_ADVICE_ENCRYPTION,
	         S3_ADVICE_FROZEN,
};

struct s3_cause {
	const char *code;
	enum error_class class;
	int errnum;
	bool retry;
	enum s3_advice advice;
	const char *text;
};

/** s3_cause_find() - by the code, or by the HTTP status when the code is unknown or "". Never NULL. */
const struct s3_cause *s3_cause_find(const char *code, int status);
