// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as each of an S3 server's answers, and of STS's. At most one of the parsers takes them, or they
 * are refused with a message; entries have what their contract says; and what is made of a server's
 * texts is well-formed again.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/s3xml.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 8

struct seen {
	struct str text; /* of all entries */
	char *etags[PARTS_MAX];
	size_t etag_count;
};

static void seen_finish(struct seen *s)
{
	for (size_t i = 0; i < s->etag_count; i++)
		free(s->etags[i]);
	str_finish(&s->text);
}

static void on_object(void *arg, const char *key, uint64_t bytes, const char *etag)
{
	struct seen *s = arg;

	fuzz_must(key && *key && etag, "an object has a key and an etag", NULL);
	str_appendf(&s->text, "object %s %llu %s\n", key, (unsigned long long)bytes, etag);
	if (s->etag_count < PARTS_MAX)
		s->etags[s->etag_count++] = mem_strdup(etag);
}

static void on_upload(void *arg, const char *key, const char *upload_id)
{
	struct seen *s = arg;

	fuzz_must(key && *key && upload_id && *upload_id, "an upload has a key and an id", NULL);
	str_appendf(&s->text, "upload %s %s\n", key, upload_id);
}

static int parse_list(const void *xml, size_t len, struct seen *seen, struct error *err)
{
	struct s3xml_list list = {.object = on_object, .upload = on_upload, .arg = seen};
	int r = s3xml_parse_list(xml, len, &list, err);

	str_appendf(&seen->text, "%d %s %s %s\n", list.truncated, list.next_token ? list.next_token : "",
	            list.next_key_marker ? list.next_key_marker : "",
	            list.next_upload_marker ? list.next_upload_marker : "");
	free(list.next_token);
	free(list.next_key_marker);
	free(list.next_upload_marker);
	return r;
}

/* Some servers keep a slow answer alive with blanks. */
static void must_be_same_behind_blanks(const uint8_t *data, size_t size, int r, const struct seen *seen)
{
	_cleanup(str) struct str xml = {0};
	struct seen again = {0};

	str_append(&xml, " \n\t\r");
	str_append_bytes(&xml, data, size);
	fuzz_must(parse_list(xml.data, xml.len, &again, NULL) == r, "the same behind blanks", NULL);
	fuzz_must(str_equal(str_text(&again.text), str_text(&seen->text)), "the same entries behind blanks",
	          str_text(&again.text));
	seen_finish(&again);
}

/* The etags that a server gave, sent back to it. */
static void must_write_well_formed(const struct seen *seen)
{
	struct s3xml_part parts[PARTS_MAX];
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	for (size_t i = 0; i < seen->etag_count; i++)
		parts[i] = (struct s3xml_part){.number = (unsigned)i + 1, .etag = seen->etags[i]};
	s3xml_write_complete(parts, seen->etag_count, &out);
	fuzz_must(s3xml_parse_upload_id(out.data, out.len, &err) == NULL, "a request is no answer", out.data);
	fuzz_must(strstr(err.message, "another document"), "the request is well-formed", err.message);
}

static bool take_list(const uint8_t *data, size_t size)
{
	struct seen seen = {0};
	struct error err = {0};
	int r = parse_list(data, size, &seen, &err);

	if (r < 0)
		fuzz_must_refuse(r, &err);
	fuzz_must(r == 0 || (r == -EPROTO && err.retry), "what is no list is worth another try", err.message);
	must_be_same_behind_blanks(data, size, r, &seen);
	must_write_well_formed(&seen);
	seen_finish(&seen);
	return r == 0;
}

static void on_version(void *arg, const char *key, const char *version_id, bool is_marker)
{
	fuzz_must(key && *key && version_id && *version_id, "a version has a key and an id", NULL);
}

static bool take_versions(const uint8_t *data, size_t size)
{
	struct s3xml_versions list = {.version = on_version};
	struct error err = {0};
	int r = s3xml_parse_versions((const char *)data, size, &list, &err);

	if (r < 0)
		fuzz_must_refuse(r, &err);
	return r == 0;
}

static bool take_error(const uint8_t *data, size_t size)
{
	static const struct s3xml_error nothing;
	struct s3xml_error error;
	bool is_error = s3xml_parse_error((const char *)data, size, &error);

	fuzz_must(is_error || memcmp(&error, &nothing, sizeof(error)) == 0,
	          "all is empty when it is no error", error.message);
	return is_error;
}

static bool take_upload_id(const uint8_t *data, size_t size)
{
	struct error err = {0};
	_cleanup(free) char *id = s3xml_parse_upload_id((const char *)data, size, &err);

	if (!id)
		fuzz_must_refuse(-err.errnum, &err);
	else
		fuzz_must(*id && !err.message[0], "an upload has an id, and then no message", err.message);
	return id;
}

static bool take_complete(const uint8_t *data, size_t size)
{
	_cleanup(free) char *etag = s3xml_parse_complete_etag((const char *)data, size);

	return etag;
}

static bool take_credentials(const uint8_t *data, size_t size)
{
	struct s3xml_credentials c = {0};
	struct error err = {0};
	int r = s3xml_parse_credentials((const char *)data, size, &c, &err);

	if (r < 0)
		fuzz_must_refuse(r, &err);
	else
		fuzz_must(c.access_key && *c.access_key && c.secret_key && *c.secret_key,
		          "credentials have a key and a secret", NULL);
	s3xml_credentials_finish(&c);
	return r == 0;
}

static bool take_lock(const uint8_t *data, size_t size)
{
	struct s3xml_lock lock = {0};
	struct error err = {0};
	int r = s3xml_parse_lock((const char *)data, size, &lock, &err);

	if (r < 0)
		fuzz_must_refuse(r, &err);
	else
		fuzz_must(lock.days >= 0 && lock.years >= 0, "no lock is for less than no time", NULL);
	return r == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int taken = take_list(data, size) + take_error(data, size) + take_upload_id(data, size) +
	            take_complete(data, size) + take_credentials(data, size) + take_versions(data, size) +
	            take_lock(data, size);

	fuzz_must(taken <= 1, "one document is one answer", NULL);
	return 0;
}
