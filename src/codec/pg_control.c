// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/pg_control.h>

#include <endian.h>
#include <errno.h>
#include <string.h>

#define VERSION_MIN 900
#define VERSION_MAX 9999

static uint32_t control_number_at(const unsigned char *data, size_t at)
{
	uint32_t value;

	memcpy(&value, data + at, sizeof(value));
	return le32toh(value);
}

int pg_control_decode(const void *data, size_t len, struct pg_control *ret, struct error *err)
{
	const unsigned char *head = data;
	uint64_t system_id;
	uint32_t version, state;

	if (len < PG_CONTROL_HEAD_BYTES)
		return error_set(err, ERROR_CORRUPT, EBADMSG, PG_CONTROL_NAME " has only %zu bytes", len);
	memcpy(&system_id, head, sizeof(system_id));
	version = control_number_at(head, 8);
	state = control_number_at(head, 16);
	if (system_id == 0 || version < VERSION_MIN || version > VERSION_MAX ||
	    state > PG_CONTROL_IN_PRODUCTION)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 PG_CONTROL_NAME " is none that a server has written");
	*ret = (struct pg_control){
	        .system_id = le64toh(system_id), .version = version, .state = (enum pg_control_state)state};
	return 0;
}
