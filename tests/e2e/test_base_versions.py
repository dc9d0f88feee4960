# SPDX-License-Identifier: Apache-2.0
"""Base backups, WAL and recoveries of servers that are older and newer than Debian's."""
import json
import os
import stat

import pytest

import pg_versions
import test_pitr
from test_base import make_cluster, open_place  # noqa: F401 (fixtures)

# The oldest, with commands of its own; the newest; and the first whose backup_manifest has another format.
MAJORS = [13, 14, 16, 17, 18]
SUM = "SELECT count(*), sum(i), md5(string_agg(t, '' ORDER BY i)) FROM large"


@pytest.mark.parametrize("major", MAJORS)
def test_a_cluster_comes_back(make_cluster, open_place, major):
    """as it was at a transaction, and as it was last; out of packs and WAL that keepfs has made of it. The second base has what has changed alone"""
    programs = pg_versions.bindir(major)
    cluster = make_cluster(bindir=programs)
    history = test_pitr.History(cluster)
    history.add(1)
    cluster.server.sql("shop", "CREATE TABLE large AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 20000) i")
    sum_of_large = cluster.server.sql("shop", SUM)
    cluster.backup()
    history.add(2)
    history.add(3)
    cluster.backup()
    history.add(4)
    history.archive()
    facts = [json.loads(path.read_text())["facts"] for path in cluster.manifests()]
    assert [one["server_version"] // 10000 for one in facts] == [major, major]
    assert sorted(one["new_bytes"] < one["content_bytes"] / 2 for one in facts) == [False, True]
    cluster.keepfs.verify_store()
    for words, expected in ((["--to", f"xid:{history.moments[2][2]}"], [1, 2]), ([], [1, 2, 3, 4])):
        data = test_pitr.target_of(open_place)
        test_pitr.restore(cluster.keepfs, data, *words)
        assert stat.S_IMODE(os.stat(data).st_mode) == 0o700
        server = test_pitr.Restored(data, bindir=programs)
        try:
            assert server.wait_until_promoted().numbers() == expected
            assert server.sql("shop", SUM) == sum_of_large
        finally:
            server.remove()
