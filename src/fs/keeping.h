// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The commands about what is kept: rows of control/. */
#include "command.h"

int command_prune(struct command *c, struct str *answer, struct error *err);
int command_hold(struct command *c, struct str *answer, struct error *err);
int command_erase(struct command *c, struct str *answer, struct error *err);
int command_undelete(struct command *c, struct str *answer, struct error *err);

extern const char prune_help[], hold_help[], undelete_help[], erase_help[];
