# SPDX-License-Identifier: Apache-2.0
"""The benchmark's databases: deterministic, and built by the server alone."""
import subprocess

SMALL_TABLES = 200

# A row is some 270, 245 and 2,600 bytes in COPY's text; so much of the whole is of each.
TABLES = {
    "orders": (270, 0.42, """
        CREATE TABLE orders (id uuid PRIMARY KEY, customer int NOT NULL, amount numeric(12,2), tax numeric(8,4), placed timestamptz,
                             changed timestamp, state text, details jsonb, checksum text)""", """
        INSERT INTO orders SELECT md5('order' || i)::uuid, i % 1000 * 7919 % 50000, (i::bigint * 31337 % 10000000) / 100.0, (i::bigint * 17 % 999983) / 10000.0,
            '2024-01-01 UTC'::timestamptz + i * interval '1.37 s', '2024-02-01'::timestamp + (i % 86400) * interval '17.013 s',
            (ARRAY['new', 'paid', 'shipped', 'returned', 'cancelled'])[1 + i % 5],
            jsonb_build_object('items', i % 9, 'city', (ARRAY['Berlin', 'Ghent', 'Zürich', 'Porto', 'Gdańsk'])[1 + (i / 3) % 5],
                               'weight', (i::bigint * 13 % 5000) / 10.0, 'gift', i % 7 = 0, 'ref', left(md5((i * 3)::text), 12)), md5(i::text || 'x')
        FROM generate_series({first}, {last}) i"""),
    "events": (250, 0.31, """
        CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz, kind smallint, who int, payload jsonb, digest bytea)""", """
        INSERT INTO events SELECT i, '2025-01-01 UTC'::timestamptz + i * interval '0.211 s', i % 40, i::bigint * 104729 % 90000,
            jsonb_build_object('path', '/api/v' || i % 3 || '/objects/' || i::bigint * 7 % 100003, 'status', (ARRAY[200, 200, 200, 304, 404, 500])[1 + i % 6],
                               'ms', (i::bigint * 97 % 20000) / 100.0, 'agent', (ARRAY['Mozilla/5.0 (X11; Linux x86_64)', 'curl/8.5.0', 'okhttp/4.12'])[1 + (i / 5) % 3],
                               'tags', jsonb_build_array('a' || i % 11, 'b' || i % 13)), sha256(int8send(i::bigint))
        FROM generate_series({first}, {last}) i"""),
    "documents": (2600, 0.27, """
        CREATE TABLE documents (id int PRIMARY KEY, author text, written date, body text)""", """
        INSERT INTO documents SELECT i, 'author ' || i % 5000, '2020-01-01'::date + i % 2000, string_agg(s.t, ' ' ORDER BY k)
        FROM generate_series({first}, {last}) i CROSS JOIN generate_series(1, 35) k
             JOIN sentences s ON s.n = ('x' || left(md5(i::text || '/' || k), 6))::bit(24)::int % 20000 GROUP BY i"""),
}
SENTENCES = """
CREATE TABLE sentences AS SELECT n, string_agg(w, ' ' ORDER BY k) || '.' AS t FROM generate_series(0, 19999) n CROSS JOIN LATERAL (
    SELECT k, substr('etaoinshrdlucmfwypvbgkjqxz', 1 + ('x' || substr(md5(word::text), 1, 2))::bit(8)::int % 20, 1 + word % 4)
              || substr(translate(md5(word::text), '0123456789', 'eaionstrlu'), 1, 2 + word % 6) AS w
    FROM (SELECT k, (('x' || left(md5(n || ':' || k), 6))::bit(24)::int % 3000 * (('x' || right(md5(n || ':' || k), 6))::bit(24)::int % 3000)) / 3000 AS word
          FROM generate_series(1, 11) k) words) w GROUP BY n
"""


def _build(server, database, statements):
    """each statement on a connection of its own, all at the same time"""
    running = [subprocess.Popen([str(server.bindir / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", server.uri(database), "-c", one],
                                stdin=subprocess.DEVNULL) for one in statements]
    for psql in running:
        assert psql.wait() == 0


def _fill(server, database, table, megabytes, share):
    row_bytes, _, create, insert = TABLES[table]
    rows = int(megabytes * 1e6 * share / row_bytes)
    server.sql(database, create)
    half = rows // 2
    return [insert.format(first=1, last=half), insert.format(first=half + 1, last=rows)]


def several_tables(server, database, megabytes):
    """three large tables and 200 small ones, about @megabytes as text"""
    server.create(database)
    server.sql(database, SENTENCES)
    work = [_fill(server, database, table, megabytes, TABLES[table][1]) for table in TABLES]
    for pair in work:
        _build(server, database, pair)
    server.sql(database, f"""DO $$ BEGIN FOR n IN 1..{SMALL_TABLES} LOOP
        EXECUTE format('CREATE TABLE %I AS SELECT i AS id, md5(i::text || %L) AS name, now()::date - now()::date + i AS amount
                        FROM generate_series(1, 40) i', 'small_' || lpad(n::text, 3, '0'), n); END LOOP; END $$""")
    server.sql(database, "VACUUM (FREEZE, ANALYZE)")


def one_table(server, database, megabytes):
    server.create(database)
    _build(server, database, _fill(server, database, "orders", megabytes, 1))
    server.sql(database, "VACUUM (FREEZE, ANALYZE)")
