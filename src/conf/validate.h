// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of validation share. */
#include "load.h"

/** conf_contradiction() - "@a: <what> @b; allowed: …"; the other way round when @a is a default, which nobody can go to. */
void conf_contradiction(struct conf_loader *l, struct conf_ref a, struct conf_ref b, const char *what,
                        const char *allowed);
/** conf_validate_notices() - receivers of notices. */
void conf_validate_notices(struct conf_loader *l);
/** conf_validate_checks() - what drills ask. */
void conf_validate_checks(struct conf_loader *l);
/** conf_validate_stores() - further stores, and who names them. */
void conf_validate_stores(struct conf_loader *l);
/** conf_validate_secrets() - each secret is in one place. */
void conf_validate_secrets(struct conf_loader *l);
/** conf_validate_bundles() - the parts of [bundle NAME]. */
void conf_validate_bundles(struct conf_loader *l);
/** conf_validate_export() - the file that [export] needs. */
void conf_validate_export(struct conf_loader *l);
/** conf_validate_providers() - what a provider of S3 needs, and what it does not have. */
void conf_validate_providers(struct conf_loader *l);
