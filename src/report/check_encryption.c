// SPDX-License-Identifier: Apache-2.0
/* Health of what is encrypted: that this host cannot read it is how it should be, and worth a line. */
#include "checks.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/keyring.h>

void check_encryption(struct checking *c)
{
	struct health_item *item;

	if (!catalog_has_any_sealed(c->from->catalog))
		return;
	item = checking_add(c, REPORT_OK, mem_strdup("encryption"), "");
	item->text = mem_strdup(
	        keyring_is_given(c->from->conf)
	                ? "backups are encrypted, and this host has an identity"
	                : "backups are encrypted, and this host has no identity: it makes and keeps them, and cannot read them");
}
