// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What of a manifest's names is valid: shared by those who read manifests and those who read keys. */
#include <keepfs/codec/manifest.h>

/** manifest_path_is_valid() - could keepfs have made an artifact of this path? */
bool manifest_path_is_valid(const char *path);
/** manifest_path_is_directory() - is the artifact of this valid path a directory? Its name has no suffix. */
bool manifest_path_is_directory(const char *path);
/** manifest_file_name_is_valid() - of a further file of the artifact of this valid path. */
bool manifest_file_name_is_valid(const char *path, const char *name);
