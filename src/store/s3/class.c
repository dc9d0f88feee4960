// SPDX-License-Identifier: Apache-2.0
/*
 * Storage classes, and thawing. The class of an object stands in the answer to a HEAD, unless it is STANDARD, and beside it x-amz-restore, when somebody has asked for it
 * to be thawed. Only AWS's archives, and those that are called alike, have to be thawed; but Ceph lets a pool have any name, so one that is called GLACIER is
 * asked for a byte before it counts as frozen.
 *
 * RestoreObject: 202 when it begins, 200 when it was thawed already (then the copy stays for longer), 409 RestoreAlreadyInProgress. Which of them it is does not matter
 * to whoever wants it thawed. What is in no archive is refused (403 InvalidObjectState), and needs no thawing.
 */
#include "s3.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/policy/classes.h>

void s3_restore_parse(const char *text, bool *ret_is_thawing, int64_t *ret_ready_until_us)
{
	static const char date_key[] = "expiry-date=\"";
	const char *date = strstr(text, date_key);
	char value[64];
	int64_t at_us = 0;

	*ret_is_thawing = strstr(text, "ongoing-request=\"true\"") != NULL;
	*ret_ready_until_us = 0;
	if (*ret_is_thawing || !date || !strstr(text, "ongoing-request=\"false\""))
		return;
	date += strlen(date_key);
	str_copy(value, sizeof(value), "");
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(date, "\""), date);
	if (s3_date_parse(value, &at_us) == 0)
		*ret_ready_until_us = at_us;
}

/* A server that knows of no archives lets it be read. */
static int ask_for_a_byte(struct s3 *s, const struct store_call *call, const char *key,
                          struct store_class *class, struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "GET", .key = key};
	int r;

	s3_add_header(&request, "range", "bytes=0-0");
	r = s3_perform(s, call, &request, &answer, err);
	class->is_frozen = r < 0 && err->storage_class[0] != '\0';
	if (!class->is_frozen)
		return r == -ERANGE ? 0 : r;
	*err = (struct error){0};
	return 0;
}

bool s3_etag_is_md5(const struct net_response *answer, const char *etag)
{
	char encryption[32], customer[32];

	net_header_find(answer, "x-amz-server-side-encryption", encryption, sizeof(encryption));
	net_header_find(answer, "x-amz-server-side-encryption-customer-algorithm", customer,
	                sizeof(customer));
	return !str_starts(encryption, "aws:") && !*customer && strspn(etag, "0123456789abcdef") == 32 &&
	       (etag[32] == '\0' || etag[32] == '-');
}

static int read_class(struct s3 *s, const struct net_response *answer, const char *key,
                      struct store_class *class, struct error *err)
{
	char restore[128];
	int r = s3_head_parse(s, key, answer, &class->object, err);

	net_header_find(answer, "x-amz-storage-class", class->name, sizeof(class->name));
	if (!class->name[0])
		str_copy(class->name, sizeof(class->name), "STANDARD");
	net_header_find(answer, "x-amz-restore", restore, sizeof(restore));
	s3_restore_parse(restore, &class->is_thawing, &class->ready_until_us);
	net_header_find(answer, "x-amz-version-id", class->version, sizeof(class->version));
	if (str_equal(class->version, "null"))
		class->version[0] = '\0';
	class->etag_is_md5 = r == 0 && s3_etag_is_md5(answer, class->object.etag);
	return r;
}

int s3_class_get(struct s3 *s, const struct store_call *call, const char *key, struct store_class *ret,
                 struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "HEAD", .key = key};
	struct store_class class = {0};
	int r = s3_perform(s, call, &request, &answer, err);

	/* The answer to a HEAD that failed has no words: who asks in the other way is told. */
	if (r < 0 && answer.status >= 300 && answer.status < 500 && answer.status != 429)
		return s3_head(&s->store, call, key, &class.object, err) < 0 ? -err->errnum : r;
	if (r == 0)
		r = read_class(s, &answer, key, &class, err);
	if (r == 0 && class_is_archive(class.name))
		class.is_frozen = class.ready_until_us == 0;
	if (r == 0 && class.is_frozen && !class.is_thawing)
		r = ask_for_a_byte(s, call, key, &class, err);
	if (r == 0)
		*ret = class;
	return r;
}

static const char *const tier_words[] = {
        [STORE_THAW_BULK] = "Bulk", [STORE_THAW_STANDARD] = "Standard", [STORE_THAW_EXPEDITED] = "Expedited"};

int s3_class_thaw(struct s3 *s, const struct store_call *call, const char *key, const struct store_thaw *how,
                  struct store_class *ret, struct error *err)
{
	_cleanup(free) char *xml =
	        mem_printf("<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Days>%u</Days>"
	                   "<GlacierJobParameters><Tier>%s</Tier></GlacierJobParameters></RestoreRequest>",
	                   how->days, tier_words[how->tier]);
	const struct iovec iov = {xml, strlen(xml)};
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "POST", .key = key, .body = &iov, .body_count = 1};
	struct store_class class = {0};
	char md5[S3_MD5_BYTES];
	int r;

	s3_md5(&iov, 1, md5);
	s3_add_query(&request, "restore", "");
	s3_add_header(&request, "content-md5", md5);
	s3_add_header(&request, "content-type", "application/xml");
	r = s3_perform(s, call, &request, &answer, err);
	if (r < 0 && !str_equal(err->code, "RestoreAlreadyInProgress"))
		return r;
	class.is_thawing = r < 0 || answer.status == 202;
	*err = (struct error){0};
	*ret = class;
	return 0;
}
