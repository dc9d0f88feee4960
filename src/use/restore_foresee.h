// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What can be known of a restore before it is begun: what is wrong about the words, by the dump's table of contents, and what is in the way at the server. */
#include "restore_toc.h"

/** restore_foresee_text() - -EINVAL (ERROR_USAGE): of a dump in SQL text a part is wanted. Pure. */
int restore_foresee_text(const struct restore_database_options *o, struct error *err);
/**
 * restore_foresee_tables() - is what would be made there already?
 * Where something is to be loaded, dropped or passed over, nothing is in the way. What cannot be asked is not known to be.
 * Return: 0; -EINVAL (ERROR_USAGE): some tables, views or sequences are there, @err names them; -ECANCELED.
 */
int restore_foresee_tables(const struct restore_toc *t, const struct restore_database_options *o,
                           struct error *err);
/**
 * restore_foresee() - all of that, as far as it can be known: reads the table of contents, where there is something to be known by it
 * Return: 0; what is wrong with the words, or the tables that are there (ERROR_USAGE); -ECANCELED. Whatever else goes wrong, the restore finds it out.
 */
int restore_foresee(const struct restore_database_options *o, struct error *err);
