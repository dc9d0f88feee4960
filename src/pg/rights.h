// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the two files about rights share; private to this room. */
#include <keepfs/base/str.h>

#define FIRST_WITH_READ_ALL              140000 /* pg_read_all_data */
#define FIRST_WITH_LARGE_OBJECT_DEFAULTS 180000 /* ALTER DEFAULT PRIVILEGES … ON LARGE OBJECTS */
#define FIRST_TO_READ_ALL_LARGE_OBJECTS  190000 /* pg_read_all_data covers them */

/** rights_identifier() - append @name as an identifier of SQL, in quotes. */
void rights_identifier(struct str *out, const char *name);
/** rights_block() - append "DO …;" around @body, a block of PL/pgSQL ("BEGIN … END"), by a dollar quote that it does not hold. */
void rights_block(struct str *out, const char *body);
/** rights_large_objects() - append the body of a block that grants @role, a literal, all large objects there are and, if the
 * server can (@defaults), those that their owners will make. */
void rights_large_objects(struct str *out, const char *role, bool defaults);
/** conninfo_setting() - heap: what @keyword is for a connection by @conninfo, with the environment and libpq's defaults; NULL:
 * nothing. */
char *conninfo_setting(const char *conninfo, const char *keyword);
