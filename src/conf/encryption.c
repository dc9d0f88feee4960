// SPDX-License-Identifier: Apache-2.0
/* What the keys of one section that say for whom something is encrypted say about each other. Pure. */
#include "job_kinds.h"

#include <keepfs/base/str.h>
#include <keepfs/conf.h>

void conf_keepfs_check(const void *base, const struct conf_clashes *clashes)
{
	const struct conf *conf = base;

	conf_encryption_check(&conf->encrypt, clashes);
}

static bool names_somebody(const struct conf_encryption *e)
{
	return (e->to && e->to[0]) || *str_or_empty(e->to_file) || conf_secret_is_set(&e->passphrase);
}

const struct conf_encryption *conf_encryption_of(const struct conf *conf, const struct conf_job *job)
{
	return job && names_somebody(&job->encrypt) ? &job->encrypt : &conf->encrypt;
}

bool conf_is_encrypted(const struct conf *conf, const struct conf_job *job)
{
	const struct conf_encryption *e = conf_encryption_of(conf, job);

	return names_somebody(e) && !(e->to && str_equal(e->to[0], CONF_ENCRYPT_NONE));
}

void conf_encryption_check(const struct conf_encryption *e, const struct conf_clashes *clashes)
{
	static const char alone[] = "says whom to encrypt for, and a passphrase stands alone:",
	                  allowed[] = "public keys, or a passphrase, and not both";
	const char *passphrase = conf_secret_key(&e->passphrase, CONF_SECRET_KEYS("encrypt_passphrase"));
	bool has_list = e->to && e->to[0], has_file = e->to_file && *e->to_file;

	if (has_list && conf_secret_is_set(&e->passphrase))
		conf_clash(clashes, "encrypt_to", passphrase, alone, allowed);
	if (has_file && conf_secret_is_set(&e->passphrase))
		conf_clash(clashes, "encrypt_to_file", passphrase, alone, allowed);
	if (has_file && has_list && str_equal(e->to[0], CONF_ENCRYPT_NONE))
		conf_clash(clashes, "encrypt_to", "encrypt_to_file", "says that nothing is encrypted, beside",
		           "encrypt_to = none without encrypt_to_file");
}
