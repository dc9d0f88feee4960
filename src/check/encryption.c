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

/* The first job whose next backup this host could not read; heap, NULL: there is none. */
static char *find_unreadable_job(struct keyring *k, const struct conf *conf)
{
	for (size_t i = 0; i < conf->job_count; i++) {
		_cleanup(age_recipients) struct age_recipients *r = NULL;
		_cleanup(str) struct str names = {0};
		bool ours = true;

		if (keyring_recipients(conf, &conf->jobs[i], NULL, &r, NULL) < 0 || !r)
			continue;
		keyring_recipients_text(r, &names);
		if (keyring_is_for_us(k, str_text(&names), NULL, &ours, NULL) == 0 && !ours)
			return mem_strdup(conf->jobs[i].name);
	}
	return NULL;
}

static void probe_identities(struct probe *p, const struct conf *conf)
{
	_cleanup(keyring) struct keyring *k = keyring_new(conf);
	_cleanup(free) char *unreadable = NULL;
	struct error err = {0};
	size_t count = 0;

	if (!keyring_can_read(k)) {
		probe_add(p, true, "identity",
		          "none: this host makes encrypted backups, and cannot read them");
		return;
	}
	if (keyring_check(k, NULL, &count, &err) < 0) {
		probe_add(p, false, "identity", "%s", err.message);
		return;
	}
	unreadable = find_unreadable_job(k, conf);
	probe_add(p, true, "identity", "%zu can be used%s%s%s", count,
	          unreadable ? "; none of them opens what job " : "", unreadable ? unreadable : "",
	          unreadable ? " encrypts now" : "");
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
