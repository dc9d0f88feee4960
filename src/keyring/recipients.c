// SPDX-License-Identifier: Apache-2.0
/* For whom something is encrypted. What a job says of it replaces all that [keepfs] says. */
#include <keepfs/keyring.h>

#include <keepfs/base/mem.h>
#include <keepfs/secret.h>

#include <errno.h>

bool keyring_is_encrypting(const struct conf *conf, const struct conf_job *job)
{
	return conf_is_encrypted(conf, job);
}

/* A list that others can read is no secret, and may be in /etc/keepfs for all hosts. */
static int add_file(struct age_recipients *r, const char *path, struct error *err)
{
	const struct secret_use use = {.what = "encrypt_to_file", .whole = true, .open_file = true};
	_cleanup(secret_text) struct secret_text text = {0};
	int result = secret_open_file(path, &use, &text, err);

	if (result < 0)
		return result;
	result = age_recipients_add(r, text.data, err);
	if (result < 0)
		error_prefix(err, "encrypt_to_file = %s", path);
	return result;
}

static int add_passphrase(struct age_recipients *r, const struct conf_secret *secret, struct cancel *cancel,
                          struct error *err)
{
	const struct secret_use use = {.what = "encrypt_passphrase"};
	_cleanup(secret_text) struct secret_text text = {0};
	int result = secret_get(secret, &use, cancel, &text, err);

	return result < 0 ? result : age_recipients_add_passphrase(r, text.data, AGE_SCRYPT_LOG_N, err);
}

int keyring_recipients(const struct conf *conf, const struct conf_job *job, struct cancel *cancel,
                       struct age_recipients **ret, struct error *err)
{
	const struct conf_encryption *e = conf_encryption_of(conf, job);
	_cleanup(age_recipients) struct age_recipients *r = NULL;
	int result = 0;

	if (!keyring_is_encrypting(conf, job)) {
		*ret = NULL;
		return 0;
	}
	r = age_recipients_new();
	for (size_t i = 0; result == 0 && e->to && e->to[i]; i++)
		result = age_recipients_add(r, e->to[i], err);
	if (result == 0 && *str_or_empty(e->to_file))
		result = add_file(r, e->to_file, err);
	if (result == 0 && conf_secret_is_set(&e->passphrase))
		result = add_passphrase(r, &e->passphrase, cancel, err);
	if (result < 0) {
		error_prefix(err, "nobody can be found to encrypt the backup for");
		return result;
	}
	*ret = take_ptr(&r);
	return 0;
}

void keyring_recipients_text(const struct age_recipients *r, struct str *out)
{
	for (size_t i = 0; i < age_recipients_count(r); i++)
		str_appendf(out, "%s%s", i > 0 ? ", " : "", age_recipients_name(r, i));
}
