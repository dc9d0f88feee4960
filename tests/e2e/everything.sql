-- A database with every type of object that pg_dump knows, for PostgreSQL 12 to 18. Run by everything.py, which sets for psql
-- the variables v13 … v18 (is the server at least this?) and has_icu, has_file_fdw, has_extension, tablespace.
-- All is deterministic. What is left out, and why: security labels need a provider, which no Debian package brings.

SET client_min_messages = warning;
SET check_function_bodies = on;

-- Schemas, owners, names that need care

CREATE SCHEMA plain AUTHORIZATION everything_owner;
CREATE SCHEMA "odd schema. (""quoted""); DROP --" AUTHORIZATION "odd ""role""; Ä";
CREATE SCHEMA empty;
CREATE SCHEMA "Größe 漢字";
COMMENT ON SCHEMA plain IS 'a comment with ''quotes'', a \backslash and
a second line';
COMMENT ON SCHEMA public IS 'not the comment that initdb gives';
\if :v15
ALTER SCHEMA public OWNER TO everything_owner;
\endif

SET search_path = plain, public;

-- Languages, transforms, access methods, conversions, casts

CREATE FUNCTION pl_handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION pl_validator(oid) RETURNS void LANGUAGE c STRICT AS '$libdir/plpgsql', 'plpgsql_validator';
CREATE TRUSTED PROCEDURAL LANGUAGE pl_of_a_test HANDLER pl_handler VALIDATOR pl_validator;
GRANT USAGE ON LANGUAGE pl_of_a_test TO everything_reader;
COMMENT ON LANGUAGE pl_of_a_test IS 'its handler is that of PL/pgSQL';
CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));
CREATE ACCESS METHOD second_gist TYPE INDEX HANDLER gisthandler;
CREATE ACCESS METHOD second_heap TYPE TABLE HANDLER heap_tableam_handler;
CREATE DEFAULT CONVERSION latin1_again FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;

-- Types

CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "fine"', 'très heureux');
ALTER TYPE mood ADD VALUE 'worst' BEFORE 'sad';
CREATE TYPE point3 AS (x float8, y float8, "the z" numeric(10, 2), tags text COLLATE "C");
COMMENT ON COLUMN point3."the z" IS 'a column of a type';
CREATE DOMAIN positive AS int DEFAULT 7 NOT NULL CONSTRAINT above_zero CHECK (VALUE > 0);
CREATE DOMAIN code AS text COLLATE "C" CHECK (VALUE ~ '^[a-z\\;]+$');
ALTER DOMAIN code ADD CONSTRAINT not_long CHECK (length(VALUE) < 100) NOT VALID;
COMMENT ON CONSTRAINT above_zero ON DOMAIN positive IS 'a constraint of a domain';
CREATE TYPE floats AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TYPE undefined_shell;
CREATE TYPE own_int;
CREATE FUNCTION own_int_in(cstring) RETURNS own_int LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION own_int_out(own_int) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE FUNCTION own_int_recv(internal) RETURNS own_int LANGUAGE internal IMMUTABLE STRICT AS 'int4recv';
CREATE FUNCTION own_int_send(own_int) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'int4send';
CREATE TYPE own_int (INPUT = own_int_in, OUTPUT = own_int_out, RECEIVE = own_int_recv, SEND = own_int_send, LIKE = int4,
                     CATEGORY = 'N', DEFAULT = '42', DELIMITER = '|');
COMMENT ON TYPE own_int IS 'a base type';
CREATE CAST (own_int AS int) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (mood AS int) WITH INOUT;
CREATE FUNCTION point3_length(point3) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT sqrt($1.x * $1.x + $1.y * $1.y)';
CREATE CAST (point3 AS float8) WITH FUNCTION point3_length(point3) AS ASSIGNMENT;
\if :v14
CREATE TYPE moments AS RANGE (subtype = timestamptz, multirange_type_name = many_moments);
\endif

-- Functions, procedures, aggregates, operators and their classes

CREATE FUNCTION quoting() RETURNS text LANGUAGE plpgsql STABLE LEAKPROOF COST 7 SET search_path = plain, pg_temp SET work_mem = '8MB' AS
$body$ BEGIN RETURN $$a dollar, a 'quote', a \ and a tab	$$ || E'\n'; END $body$;
CREATE FUNCTION with_defaults(a int, b text DEFAULT 'x''y', VARIADIC c numeric[] DEFAULT '{}') RETURNS TABLE (n int, "the text" text)
LANGUAGE sql ROWS 3 PARALLEL SAFE SECURITY DEFINER AS 'SELECT a, b UNION ALL SELECT c::int, ''v'' FROM unnest(c) c';
CREATE FUNCTION with_outs(INOUT a int, OUT b text) RETURNS SETOF record LANGUAGE sql AS 'SELECT a, ''b''';
CREATE FUNCTION row_number_again() RETURNS bigint LANGUAGE internal WINDOW IMMUTABLE AS 'window_row_number';
CREATE PROCEDURE nothing_much(IN a int DEFAULT 3) LANGUAGE plpgsql AS 'BEGIN COMMIT; END';
COMMENT ON PROCEDURE nothing_much IS 'a procedure';
COMMENT ON FUNCTION with_defaults IS NULL;
\if :v14
CREATE FUNCTION of_the_standard(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a + 1; END;
\endif
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE AGGREGATE product(float8) (SFUNC = float8mul, STYPE = float8, INITCOND = '1', PARALLEL = SAFE, COMBINEFUNC = float8mul);
CREATE AGGREGATE sum_that_moves(float8) (STYPE = float8, SFUNC = float8pl, MSTYPE = float8, MSFUNC = float8pl, MINVFUNC = float8mi);
CREATE AGGREGATE percentile_again(float8 ORDER BY anyelement) (STYPE = internal, SFUNC = ordered_set_transition,
    FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA = true, FINALFUNC_MODIFY = READ_WRITE);
CREATE AGGREGATE rank_again(VARIADIC "any" ORDER BY VARIADIC "any") (STYPE = internal, SFUNC = ordered_set_transition_multi,
    FINALFUNC = rank_final, FINALFUNC_EXTRA = true, HYPOTHETICAL);
COMMENT ON AGGREGATE product(float8) IS 'an aggregate';
CREATE OPERATOR <<< (LEFTARG = int, RIGHTARG = int, FUNCTION = int4lt, COMMUTATOR = >>>, NEGATOR = >=>, RESTRICT = scalarltsel,
                     JOIN = scalarltjoinsel);
CREATE OPERATOR >>> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4gt, COMMUTATOR = <<<);
CREATE OPERATOR >=> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4ge, NEGATOR = <<<);
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq, COMMUTATOR = ===, HASHES, MERGES);
CREATE OPERATOR !- (RIGHTARG = int, FUNCTION = int4um);
COMMENT ON OPERATOR <<< (int, int) IS 'an operator';
CREATE OPERATOR FAMILY ints_again USING btree;
CREATE OPERATOR CLASS ints_backwards FOR TYPE int USING btree FAMILY ints_again AS
    OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 btint4cmp(int, int);
ALTER OPERATOR FAMILY ints_again USING btree ADD
    OPERATOR 1 > (int, bigint), OPERATOR 3 = (int, bigint), FUNCTION 1 (int, bigint) btint48cmp(int, bigint);
COMMENT ON OPERATOR CLASS ints_backwards USING btree IS 'an operator class';

-- Collations and text search

CREATE COLLATION like_c (provider = libc, locale = 'C');
\if :has_icu
CREATE COLLATION "ignore Case" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
\endif
\if :v17
CREATE COLLATION of_the_server (provider = builtin, locale = 'C.UTF-8');
\endif
CREATE TEXT SEARCH PARSER parser_again (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, HEADLINE = prsd_headline,
                                        LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE simple_again (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple_again, accept = 'false');
CREATE TEXT SEARCH CONFIGURATION searching (PARSER = parser_again);
ALTER TEXT SEARCH CONFIGURATION searching ADD MAPPING FOR asciiword, word, numword WITH words, simple;
COMMENT ON TEXT SEARCH CONFIGURATION searching IS 'a configuration';

-- Sequences

CREATE SEQUENCE never_called;
CREATE SEQUENCE called AS smallint START 5 INCREMENT 5 MAXVALUE 1000 CACHE 10;
SELECT setval('called', 25, true) \g /dev/null
CREATE SEQUENCE set_but_not_called;
SELECT setval('set_but_not_called', 77, false) \g /dev/null
CREATE SEQUENCE downwards AS bigint INCREMENT -3 MINVALUE -9223372036854775808 MAXVALUE 100 START 50 CYCLE;
SELECT nextval('downwards'), nextval('downwards') \g /dev/null
CREATE SEQUENCE "odd schema. (""quoted""); DROP --"."a ""sequence""; 1" MINVALUE 0 START 0;
\if :v15
CREATE UNLOGGED SEQUENCE unlogged_numbers;
\endif

-- Every type of value, with its edges

CREATE TABLE "every value" (
    id int PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8, n numeric, n92 numeric(9, 2), f4 float4, f8 float8, m money, t text,
    v varchar(40), c char(7), by bytea, ts timestamp, tz timestamptz, d date, ti time, tt timetz, iv interval, u uuid, j json, jb jsonb,
    x xml, tv tsvector, tq tsquery, bi bit(5), vb bit varying(70), ip inet, ci cidr, ma macaddr8, p point, bo box, pa path, po polygon,
    ir int4range, tr tstzrange, fr floats, ia int[], ta text[], md int[][], e mood, cp point3, po_d positive, co code, o oid,
    rc regclass, l pg_lsn, "char" "char", na name, ov oidvector, oi own_int, ln line, ls lseg, cr circle);
INSERT INTO "every value" (id) VALUES (0);
INSERT INTO "every value" VALUES (1, true, 32767, 2147483647, 9223372036854775807, 'NaN', 9999999.99, 'Infinity', 'NaN',
    '-92233720368547758.08', E'tab\tnewline\ncarriage\rreturn\\ back\\slash \\. \\N \b\f\v \x7f äöü 漢字 🐘', E'\\N', 'abc', '',
    'infinity', '-infinity', 'infinity', '24:00', '00:00+15:59', '-170000000 years', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '{"a" :  [1,2, "\u00e4\n"],"a":2}', '{"a": 1e100, "b": [null, true, "\\"]}', NULL,
    '''it''''s'':1A b:2,3 ''tab	in'':4', '''a'' & !b <2> c:*', B'10101', B'', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03:04:05',
    '(1.5,-0)', '(1,1),(-1,-1)', '[(0,0),(1,1e300)]', '((0,0),(1,1),(2,0))', 'empty', '[-infinity,infinity)', '(,1.5]', '{}',
    '{NULL,"NULL","",",","\"","\\","{}"," x "}', '{{1,2},{3,NULL}}', 'worst', '(1,2,3.5,"{""a, (b)"",c}")', 1, 'a\;', 4294967295,
    '"every value"', 'FFFFFFFF/FFFFFFFF', '\', 'a name', '1 2 4294967295', '-5', '{1,2,3}', '[(0,0),(1,1)]', '<(0,0),5>');
INSERT INTO "every value" VALUES (2, false, -32768, -2147483648, -9223372036854775808, 1e-1000, -0.01, '-0', '5e-324', 0, '', '', '',
    '\x00', '4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999 UTC', '4713-01-01 BC', '00:00:00.000001', '23:59:60-15:59',
    '1 mon -1 day 00:00:00.000001', '00000000-0000-0000-0000-000000000000', 'null', 'null', NULL, '', '', B'00000', B'1',
    '255.255.255.255', '::/0', '00:00:00:00:00:00:00:00', '(0,0)', '(0,0),(0,0)', '((0,0))', '((0,0))', '[1,2)', '(,)', '[0,0]',
    '[-2:0]={1,2,3}', '{}', '{}', 'très heureux', '(,,,)', 2147483647, ';', 0, '-', '0/0', '', '', '', '2147483647', '{0,1,0}',
    '[(0,0),(0,0)]', '<(1e-300,0),0>');
INSERT INTO "every value" (id, f4, f8, n) VALUES (3, '3.4028235e38', '1.7976931348623157e308', 0.1), (4, '1.4e-45', '-Infinity', -1e500),
    (5, 0.1, 0.1, '123456789012345678901234567890.000000000100');
INSERT INTO "every value" (id, by) SELECT 6, decode(string_agg(lpad(to_hex(i), 2, '0'), '' ORDER BY i), 'hex') FROM generate_series(0, 255) i;
INSERT INTO "every value" (id, t) SELECT 7, string_agg(chr(i), '' ORDER BY i) FROM generate_series(1, 3000) i;
INSERT INTO "every value" (id, t) VALUES (8, '\.'), (9, E'\\.\n\\.\n'), (10, E'\n'), (11, E'\r\n'), (12, '\N'), (13, ' '), (14, repeat('\', 1000));
\if :has_xml
INSERT INTO "every value" (id, x) VALUES (15, '<a b="c">&amp;</a>'), (16, ''), (17, '<?xml version="1.0"?><!-- c --><ä/>');
\endif
CREATE TABLE only_end_marks (t text);
INSERT INTO only_end_marks VALUES ('\.'), (E'\\.\n'), (E'\n\\.\n\n\n'), (''), (NULL);
\if :v14
CREATE TABLE values_since_14 (n numeric, i4m int4multirange, mm many_moments, packed text COMPRESSION pglz);
INSERT INTO values_since_14 VALUES ('Infinity', '{[1,2),[5,7)}', '{}', repeat('x', 5000)), ('-Infinity', '{(,)}', '{[-infinity,infinity]}', NULL);
\endif

-- Tables of unusual shape

CREATE TABLE empty_table (id int, t text);
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 5);
CREATE TABLE no_columns_no_rows ();
CREATE TABLE all_dropped (a int, b int);
INSERT INTO all_dropped VALUES (1, 2), (3, 4);
ALTER TABLE all_dropped DROP a, DROP b;
CREATE TABLE some_dropped (a int, gone text, b text, also_gone int DEFAULT 5, c int DEFAULT 3);
INSERT INTO some_dropped SELECT i, 'x', 'row ' || i FROM generate_series(1, 100) i;
ALTER TABLE some_dropped DROP gone, DROP also_gone;
ALTER TABLE some_dropped ADD added text DEFAULT 'since'' then' NOT NULL;
CREATE TABLE only_generated (g int GENERATED ALWAYS AS (1 + 2) STORED);
INSERT INTO only_generated SELECT FROM generate_series(1, 3);
CREATE TABLE generated_and_identity (
    id bigint GENERATED ALWAYS AS IDENTITY (START 1000 INCREMENT 7), a int, twice int GENERATED ALWAYS AS (a * 2) STORED,
    other int GENERATED BY DEFAULT AS IDENTITY, s serial, t text DEFAULT 'it''s', "q;" text GENERATED ALWAYS AS ('"' || 'x;') STORED);
INSERT INTO generated_and_identity (a) SELECT generate_series(1, 20);
\if :v18
CREATE TABLE virtual_columns (a int, b int GENERATED ALWAYS AS (a * 3) VIRTUAL);
INSERT INTO virtual_columns (a) VALUES (1), (NULL);
CREATE TABLE only_virtual (b int GENERATED ALWAYS AS (3) VIRTUAL);
INSERT INTO only_virtual SELECT FROM generate_series(1, 3);
CREATE TABLE not_enforced (a int CONSTRAINT may_be CHECK (a > 0) NOT ENFORCED, b int CONSTRAINT "not null, named" NOT NULL);
INSERT INTO not_enforced VALUES (-1, 1);
\endif
SELECT format('CREATE TABLE many_columns (%s)', string_agg('c' || i || ' ' || (ARRAY['int', 'text', 'numeric'])[1 + i % 3], ', ' ORDER BY i))
FROM generate_series(1, 700) i \gexec
INSERT INTO many_columns (c3, c700) SELECT i, 'x' FROM generate_series(1, 50) i;
INSERT INTO many_columns DEFAULT VALUES;
CREATE UNLOGGED TABLE not_logged (id int PRIMARY KEY, t text);
INSERT INTO not_logged SELECT i, md5(i::text) FROM generate_series(1, 500) i;
CREATE TABLE with_parameters (id int, t text, n int)
    WITH (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_enabled = false, parallel_workers = 2);
ALTER TABLE with_parameters ALTER t SET STORAGE EXTERNAL, ALTER n SET STATISTICS 1000, ALTER n SET (n_distinct = -0.5);
INSERT INTO with_parameters SELECT i, repeat(md5(i::text), 300), i FROM generate_series(1, 60) i;
CREATE TABLE of_a_type OF point3 (x WITH OPTIONS DEFAULT 1 NOT NULL, PRIMARY KEY (y));
INSERT INTO of_a_type VALUES (1, 2, 3, '{a}');
CREATE TABLE of_another_access_method (id int, t text) USING second_heap;
INSERT INTO of_another_access_method SELECT i, 't' || i FROM generate_series(1, 100) i;
CREATE TABLE elsewhere (id int PRIMARY KEY USING INDEX TABLESPACE :"tablespace") TABLESPACE :"tablespace";
INSERT INTO elsewhere SELECT generate_series(1, 10);
CREATE TABLE "odd schema. (""quoted""); DROP --"."a ""table"" (with), [all]; \ '$$' -- /* */"
    ("a ""column"" (x)" int, "b.c" text, ";" int, "ä漢" text, " " int, "select" text);
INSERT INTO "odd schema. (""quoted""); DROP --"."a ""table"" (with), [all]; \ '$$' -- /* */"
    SELECT i, 'b', i, 'ä', NULL, 's' FROM generate_series(1, 30) i;
SELECT format('CREATE TABLE %I.%I (%I int)', 'Größe 漢字', E'line\nbreak,\ttab and\rreturn', E'co\nlumn') \gexec
SELECT format('INSERT INTO %I.%I SELECT generate_series(1, 3)', 'Größe 漢字', E'line\nbreak,\ttab and\rreturn') \gexec
CREATE TABLE "Größe 漢字"."Übung" ("Straße" text, "UPPER" int);
INSERT INTO "Größe 漢字"."Übung" VALUES ('Gänseweg', 1);
CREATE TABLE "Größe 漢字"."a_name_of_63_bytes_which_is_the_longest_that_a_relation_may_hav" (id int);

-- Partitions

CREATE TABLE by_range (id int NOT NULL, at date NOT NULL, body text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE by_range_2024 PARTITION OF by_range FOR VALUES FROM (MINVALUE) TO ('2025-01-01');
CREATE TABLE by_range_2025 (extra_gone int, body text DEFAULT 'other default', at date NOT NULL, id int NOT NULL);
ALTER TABLE by_range_2025 DROP extra_gone;
ALTER TABLE by_range ATTACH PARTITION by_range_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE "odd schema. (""quoted""); DROP --"."part; 2026" PARTITION OF by_range
    FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (id);
CREATE TABLE by_range_2026_small PARTITION OF "odd schema. (""quoted""); DROP --"."part; 2026" FOR VALUES IN (1, 2, 3);
CREATE TABLE by_range_2026_rest PARTITION OF "odd schema. (""quoted""); DROP --"."part; 2026" DEFAULT;
CREATE TABLE by_range_rest PARTITION OF by_range DEFAULT;
INSERT INTO by_range SELECT i, '2024-06-01'::date + i, 'body ' || i FROM generate_series(1, 1000) i;
CREATE INDEX by_range_body ON by_range (body);
CREATE TABLE by_list (kind text COLLATE "C", v int) PARTITION BY LIST (kind);
CREATE TABLE by_list_a PARTITION OF by_list FOR VALUES IN ('a', 'it''s', NULL);
CREATE TABLE by_list_rest PARTITION OF by_list DEFAULT;
INSERT INTO by_list VALUES ('a', 1), ('it''s', 2), (NULL, 3), ('z', 4);
CREATE TABLE by_hash (id uuid, m mood) PARTITION BY HASH (id);
CREATE TABLE by_hash_0 PARTITION OF by_hash FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE by_hash_1 PARTITION OF by_hash FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE by_hash_2 PARTITION OF by_hash FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO by_hash SELECT md5(i::text)::uuid, 'ok' FROM generate_series(1, 200) i;
CREATE TABLE by_enum (m mood, v int) PARTITION BY HASH (m);
-- An enum's hash is another one in a copy, so pg_dump loads this through its root; of several partitions, other rows would be in each.
CREATE TABLE by_enum_all PARTITION OF by_enum FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO by_enum SELECT unnest(enum_range(NULL::mood)), generate_series(1, 5);
CREATE TABLE by_expression (a int, b int) PARTITION BY RANGE ((a + b), abs(b));
CREATE TABLE no_partitions (id int) PARTITION BY RANGE (id);

-- Inheritance

CREATE TABLE parent (id int, t text DEFAULT 'parent''s', CONSTRAINT always CHECK (id > 0), CONSTRAINT here CHECK (id < 1000000) NO INHERIT);
CREATE TABLE second_parent (s int);
CREATE TABLE child (own int) INHERITS (parent, second_parent);
ALTER TABLE child ALTER t SET DEFAULT 'child''s';
CREATE TABLE grandchild (t text DEFAULT 'grand') INHERITS (child);
INSERT INTO parent SELECT i, 'p' FROM generate_series(1, 10) i;
INSERT INTO child SELECT i, 'c', i, i FROM generate_series(1, 10) i;
INSERT INTO grandchild SELECT i, 'g', i, i FROM generate_series(1, 10) i;

-- Constraints and indexes

CREATE TABLE cycle_a (id int PRIMARY KEY, b int NOT NULL);
CREATE TABLE cycle_b (id int PRIMARY KEY, a int, self int REFERENCES cycle_b ON DELETE SET NULL DEFERRABLE);
INSERT INTO cycle_a SELECT i, i FROM generate_series(1, 20) i;
INSERT INTO cycle_b SELECT i, i, 21 - i FROM generate_series(1, 20) i;
ALTER TABLE cycle_a ADD CONSTRAINT "to b" FOREIGN KEY (b) REFERENCES cycle_b DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE cycle_b ADD CONSTRAINT "to a" FOREIGN KEY (a) REFERENCES cycle_a MATCH FULL ON UPDATE CASCADE NOT VALID;
\if :v14
CREATE TABLE to_partitions (id int, at date, FOREIGN KEY (id, at) REFERENCES by_range);
INSERT INTO to_partitions SELECT id, at FROM by_range WHERE id <= 10;
\endif
CREATE TABLE constraints (
    a int CONSTRAINT "a; positive" CHECK (a > 0), b text UNIQUE DEFERRABLE, c int, during tsrange, around circle,
    CONSTRAINT whole CHECK (a < c OR b IS NULL), CONSTRAINT a_and_c UNIQUE (a, c) INCLUDE (b),
    EXCLUDE USING gist (around WITH &&) WHERE (a > 5),
    CONSTRAINT one_at_a_time EXCLUDE USING gist (during WITH &&) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO constraints SELECT i, 'b' || i, i + 1,
    tsrange('2025-01-01'::timestamp + i * interval '1 day', '2025-01-01'::timestamp + (i + 1) * interval '1 day'),
    circle(point(i * 10, 0), 1) FROM generate_series(1, 40) i;
ALTER TABLE constraints ADD CONSTRAINT later CHECK (c < 10) NOT VALID;
COMMENT ON CONSTRAINT whole ON constraints IS 'a constraint';
CREATE INDEX ON constraints (b DESC NULLS LAST, a) INCLUDE (c) WITH (fillfactor = 60) WHERE c > 3;
CREATE INDEX "an ""expression""" ON constraints (lower(b) COLLATE "C" text_pattern_ops, (a + c));
CREATE INDEX by_brin ON constraints USING brin (a) WITH (pages_per_range = 4);
CREATE INDEX by_hash_index ON constraints USING hash (b);
CREATE INDEX by_own_class ON constraints (a ints_backwards);
CREATE OPERATOR CLASS circles_again FOR TYPE circle USING second_gist AS
    OPERATOR 3 &&, OPERATOR 8 <@, FUNCTION 1 gist_circle_consistent(internal, circle, smallint, oid, internal), FUNCTION 2 gist_box_union(internal, internal),
    FUNCTION 3 gist_circle_compress(internal), FUNCTION 5 gist_box_penalty(internal, internal, internal),
    FUNCTION 6 gist_box_picksplit(internal, internal), FUNCTION 7 gist_box_same(box, box, internal), STORAGE box;
CREATE INDEX by_second_gist ON constraints USING second_gist (around circles_again);
CREATE INDEX by_gin ON "every value" USING gin (tv, jb jsonb_path_ops);
CREATE INDEX by_spgist ON constraints USING spgist (during);
CREATE UNIQUE INDEX for_identity ON cycle_a (b);
ALTER INDEX "an ""expression""" ALTER COLUMN 2 SET STATISTICS 400;
COMMENT ON INDEX by_brin IS 'an index';
ALTER TABLE cycle_a REPLICA IDENTITY USING INDEX for_identity;
ALTER TABLE cycle_b REPLICA IDENTITY FULL;
ALTER TABLE cycle_b CLUSTER ON cycle_b_pkey;
CREATE STATISTICS correlated (ndistinct, dependencies, mcv) ON a, c FROM constraints;
COMMENT ON STATISTICS correlated IS 'statistics';
\if :v14
CREATE STATISTICS "odd schema. (""quoted""); DROP --"."of expressions" ON (a + c), (lower(b)) FROM constraints;
\endif
\if :v13
ALTER STATISTICS correlated SET STATISTICS 300;
\endif
\if :v15
CREATE TABLE nulls_are_one (a int UNIQUE NULLS NOT DISTINCT, b int);
INSERT INTO nulls_are_one VALUES (NULL, 1), (1, 2);
\endif

-- Views, rules, triggers, policies

CREATE VIEW totals AS SELECT a, sum(c) AS "the sum", count(*) FILTER (WHERE b LIKE 'b1%') FROM constraints GROUP BY a HAVING sum(c) > 3;
CREATE VIEW grouped_by_key AS SELECT c.id, c.b, count(*) FROM cycle_a c JOIN cycle_b b ON b.a = c.id GROUP BY c.id;
CREATE VIEW checked WITH (security_barrier) AS SELECT * FROM parent WHERE id < 500 WITH CASCADED CHECK OPTION;
ALTER VIEW checked ALTER t SET DEFAULT 'of the view';
CREATE RECURSIVE VIEW counting (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM counting WHERE n < 10;
CREATE VIEW "odd schema. (""quoted""); DROP --"."a ""view""" AS SELECT id AS "x y", $$a 'quoted'; text$$ || E'\n' AS ";" FROM parent;
\if :v15
CREATE VIEW of_the_invoker WITH (security_invoker = true) AS SELECT * FROM parent;
\endif
CREATE MATERIALIZED VIEW filled AS SELECT at, count(*) FROM by_range GROUP BY at ORDER BY at WITH DATA;
CREATE UNIQUE INDEX filled_at ON filled (at);
CREATE MATERIALIZED VIEW filled_from_filled AS SELECT count(*) FROM filled WITH DATA;
CREATE MATERIALIZED VIEW not_filled AS SELECT * FROM totals WITH NO DATA;
CREATE INDEX not_filled_a ON not_filled (a);
COMMENT ON MATERIALIZED VIEW filled IS 'a materialised view';
COMMENT ON COLUMN totals."the sum" IS 'a column of a view';
CREATE TABLE ruled (id int, t text);
CREATE TABLE log_of_rules (id int, what text);
INSERT INTO ruled VALUES (1, 'before the rule');
CREATE RULE logged AS ON INSERT TO ruled WHERE NEW.id > 5 DO ALSO INSERT INTO log_of_rules VALUES (NEW.id, 'it''s; inserted');
CREATE RULE no_delete AS ON DELETE TO ruled DO INSTEAD NOTHING;
CREATE RULE on_view AS ON UPDATE TO totals DO INSTEAD (UPDATE ruled SET t = 'x'; NOTIFY someone);
ALTER TABLE ruled DISABLE RULE no_delete;
COMMENT ON RULE logged ON ruled IS 'a rule';
CREATE TABLE triggered (id int PRIMARY KEY, t text);
INSERT INTO triggered SELECT i, 'before' FROM generate_series(1, 10) i;
CREATE TRIGGER "before; all" BEFORE INSERT OR UPDATE OF t ON triggered FOR EACH ROW WHEN (NEW.id > 3) EXECUTE FUNCTION touch('it''s', 'b\c');
CREATE TRIGGER off AFTER DELETE ON triggered FOR EACH STATEMENT EXECUTE FUNCTION touch();
CREATE TRIGGER on_a_replica AFTER TRUNCATE ON triggered EXECUTE FUNCTION touch();
CREATE TRIGGER always AFTER UPDATE ON triggered REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows EXECUTE FUNCTION touch();
CREATE CONSTRAINT TRIGGER at_the_end AFTER INSERT ON triggered FROM parent DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER of_a_view INSTEAD OF INSERT ON checked FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER of_partitions AFTER INSERT ON by_range FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE triggered DISABLE TRIGGER off, ENABLE REPLICA TRIGGER on_a_replica, ENABLE ALWAYS TRIGGER always;
ALTER TABLE by_range_2024 DISABLE TRIGGER of_partitions;
COMMENT ON TRIGGER off ON triggered IS 'a trigger';
CREATE TABLE all_triggers_off (id int PRIMARY KEY REFERENCES triggered);
CREATE TRIGGER one BEFORE INSERT ON all_triggers_off FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE all_triggers_off DISABLE TRIGGER USER;
CREATE EVENT TRIGGER everything_watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION plain.watch();
CREATE EVENT TRIGGER everything_off ON sql_drop EXECUTE FUNCTION plain.watch();
ALTER EVENT TRIGGER everything_off DISABLE;
COMMENT ON EVENT TRIGGER everything_watch IS 'an event trigger';
CREATE TABLE secured (id int, who name, t text);
INSERT INTO secured SELECT i, 'everything_reader', 'secret ' || i FROM generate_series(1, 100) i;
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY "read; own" ON secured AS PERMISSIVE FOR SELECT TO everything_reader, "odd ""role""; Ä" USING (who = current_user);
CREATE POLICY write_none ON secured AS RESTRICTIVE FOR INSERT TO PUBLIC WITH CHECK (id > 1000 AND t <> 'it''s');
COMMENT ON POLICY write_none ON secured IS 'a policy';
CREATE TABLE secured_from_its_owner (id int);
INSERT INTO secured_from_its_owner SELECT generate_series(1, 50);
ALTER TABLE secured_from_its_owner ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE secured_from_its_owner OWNER TO everything_owner;

-- Extensions, foreign data

CREATE FOREIGN DATA WRAPPER nowhere OPTIONS (debug 'it''s "true"');
CREATE SERVER "server; one" TYPE 'a type' VERSION '1.2' FOREIGN DATA WRAPPER nowhere OPTIONS (host 'nowhere', "odd key" 'a ''value''');
CREATE USER MAPPING FOR everything_reader SERVER "server; one" OPTIONS ("user" 'x', password 'a ''secret''');
CREATE USER MAPPING FOR PUBLIC SERVER "server; one";
CREATE FOREIGN TABLE far_away (id int OPTIONS (name 'the id') NOT NULL, t text COLLATE "C" DEFAULT 'd', CHECK (id > 0))
    SERVER "server; one" OPTIONS (path '/x');
CREATE FOREIGN TABLE far_partition PARTITION OF by_expression FOR VALUES FROM (0, 0) TO (10, 10) SERVER "server; one";
COMMENT ON FOREIGN TABLE far_away IS 'a foreign table';
COMMENT ON SERVER "server; one" IS 'a server';
\if :has_file_fdw
CREATE EXTENSION file_fdw WITH SCHEMA "Größe 漢字";
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE a_file (line text) SERVER files OPTIONS (filename '/dev/null', format 'text');
\endif
\if :has_extension
CREATE EXTENSION keepfs_e2e WITH SCHEMA plain;
INSERT INTO configured SELECT i, 'by the user ' || i, true FROM generate_series(100, 150) i;
INSERT INTO configured_wholly VALUES (7, 'x	y');
SELECT setval('configured_numbers', 4711) \g /dev/null
CREATE TABLE of_the_extensions_type (id int, f extension_type);
INSERT INTO of_the_extensions_type VALUES (1, '(1,x)');
\endif

-- Publications and subscriptions

CREATE PUBLICATION of_all FOR ALL TABLES WITH (publish = 'insert, delete');
CREATE PUBLICATION "of some; tables" FOR TABLE cycle_a, ONLY parent;
CREATE PUBLICATION of_none;
COMMENT ON PUBLICATION of_all IS 'a publication';
\if :v13
ALTER PUBLICATION "of some; tables" SET (publish_via_partition_root = true);
ALTER PUBLICATION "of some; tables" ADD TABLE by_range;
\endif
\if :v15
CREATE PUBLICATION of_a_schema FOR TABLES IN SCHEMA "Größe 漢字", TABLE cycle_a WHERE (b > 3);
CREATE PUBLICATION of_columns FOR TABLE triggered (id);
\endif
CREATE SUBSCRIPTION "to nowhere" CONNECTION 'dbname=nowhere host=127.0.0.1' PUBLICATION a, "b; c" WITH (connect = false, slot_name = NONE);
COMMENT ON SUBSCRIPTION "to nowhere" IS 'a subscription';

-- Large objects

SELECT lo_create(3000000000), lo_create(4294967295), lo_create(2147483648), lo_create(1), lo_create(17) \g /dev/null
SELECT lo_put(3000000000, 0, decode(string_agg(md5(i::text), ''), 'hex')) FROM generate_series(1, 20000) i \g /dev/null
SELECT lo_put(4294967295, 0, '\x00ff5c2e0a'), lo_put(17, 5000000, 'after a hole') \g /dev/null
SELECT lo_from_bytea(40000 + i, decode(md5(i::text), 'hex')) FROM generate_series(1, 1500) i \g /dev/null
COMMENT ON LARGE OBJECT 3000000000 IS 'a large object, and its OID is large';
ALTER LARGE OBJECT 4294967295 OWNER TO "odd ""role""; Ä";
GRANT SELECT ON LARGE OBJECT 3000000000, 17 TO everything_reader;

-- Rights

ALTER TABLE parent OWNER TO everything_owner;
ALTER FUNCTION quoting() OWNER TO "odd ""role""; Ä";
GRANT USAGE ON SCHEMA plain TO everything_reader, "odd ""role""; Ä";
GRANT ALL ON SCHEMA "odd schema. (""quoted""); DROP --" TO everything_reader WITH GRANT OPTION;
GRANT SELECT ON parent TO everything_reader WITH GRANT OPTION;
-- In a schema that everybody may use by itself: several connections of pg_restore may grant the right on a table before that on its schema, and
-- then the role that passes on the right cannot see the table yet.
CREATE TABLE public.passed_on (a int);
GRANT SELECT ON public.passed_on TO everything_reader WITH GRANT OPTION;
SET SESSION AUTHORIZATION everything_reader;
GRANT SELECT ON public.passed_on TO "odd ""role""; Ä";
RESET SESSION AUTHORIZATION;
GRANT SELECT (id), UPDATE (t) ON ruled TO everything_reader;
GRANT INSERT ON ruled TO PUBLIC;
REVOKE ALL ON FUNCTION with_defaults(int, text, numeric[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION with_defaults(int, text, numeric[]) TO everything_reader;
GRANT EXECUTE ON PROCEDURE nothing_much(int) TO everything_reader;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO everything_reader;
GRANT USAGE ON TYPE mood, positive TO everything_reader;
REVOKE USAGE ON TYPE mood FROM PUBLIC;
GRANT USAGE ON FOREIGN DATA WRAPPER nowhere TO everything_reader;
GRANT USAGE ON FOREIGN SERVER "server; one" TO everything_reader WITH GRANT OPTION;
GRANT USAGE, SELECT ON SEQUENCE called TO everything_reader;
GRANT TRUNCATE ON ALL TABLES IN SCHEMA "Größe 漢字" TO everything_reader;
\if :v17
GRANT MAINTAIN ON ruled TO everything_reader;
\endif
ALTER DEFAULT PRIVILEGES FOR ROLE everything_owner GRANT SELECT ON TABLES TO everything_reader WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE everything_owner IN SCHEMA plain GRANT EXECUTE ON FUNCTIONS TO "odd ""role""; Ä";
ALTER DEFAULT PRIVILEGES FOR ROLE everything_owner REVOKE USAGE ON TYPES FROM PUBLIC;

-- Comments of other things

COMMENT ON TABLE "every value" IS 'a table';
COMMENT ON COLUMN "every value"."char" IS E'a column\twith a tab and $$dollars$$';
COMMENT ON VIEW totals IS 'a view';
COMMENT ON SEQUENCE called IS 'a sequence';
COMMENT ON DOMAIN code IS 'a domain';
COMMENT ON CAST (own_int AS int) IS 'a cast';
COMMENT ON TRANSFORM FOR int LANGUAGE sql IS 'a transform';
COMMENT ON ACCESS METHOD second_gist IS 'an access method';
COMMENT ON CONVERSION latin1_again IS 'a conversion';
COMMENT ON COLLATION like_c IS 'a collation';
COMMENT ON FOREIGN DATA WRAPPER nowhere IS 'a wrapper';
COMMENT ON EXTENSION plpgsql IS 'not the comment of its control file';
