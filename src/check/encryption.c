// SPDX-License-Identifier: Apache-2.0
/* Encryption: can whoever it is for be found, and are the identities that the configuration names there? */
#include "check_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/keyring.h>

static void probe_recipients(struct probe *p, const struct conf *conf, const struct conf_job *job)
{
	_cleanup(age_recipients) struct age_recipients *r = NULL;
	_cleanup(str) struct str names = {0};
	const char *of = job ? job->name : "records and copies of the catalog";
	struct error err = {0};

	if (keyring_recipients(conf, job, NULL, &r, &err) < 0) {
		probe_add(p, false, "encryption", "%s%s: %s", job ? "job " : "", of, err.message);
		return;
	}
	if (r)
		keyring_recipients_text(r, &names);
	probe_add(p, true, "encryption", "%s%s: %s%s", job ? "job " : "", of,
	          r ? "encrypted to " : "not encrypted", str_text(&names));
}

static void probe_identities(struct probe *p, const struct conf *conf)
{
	_cleanup(keyring) struct keyring *k = keyring_new(conf);
	struct error err = {0};
	size_t count = 0;

	if (!keyring_can_read(k))
		probe_add(p, true, "identity",
		          "none: this host makes encrypted backups, and cannot read them");
	else if (keyring_check(k, NULL, &count, &err) < 0)
		probe_add(p, false, "identity", "%s", err.message);
	else
		probe_add(p, true, "identity", "%zu can be used", count);
}

void probe_encryption(struct probe *p, const struct conf *conf)
{
	bool encrypts = keyring_is_encrypting(conf, NULL);

	for (size_t i = 0; i < conf->job_count; i++)
		encrypts = encrypts || keyring_is_encrypting(conf, &conf->jobs[i]);
	if (encrypts) {
		probe_recipients(p, conf, NULL);
		for (size_t i = 0; i < conf->job_count; i++)
			probe_recipients(p, conf, &conf->jobs[i]);
	}
	if (encrypts || keyring_is_given(conf))
		probe_identities(p, conf);
}
