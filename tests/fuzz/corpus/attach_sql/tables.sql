CREATE TYPE plain.point3 AS (
	x double precision,
	y double precision,
	"the z" numeric(10,2),
	tags text COLLATE pg_catalog."C"
);

CREATE TABLE "Größe 漢字".a_name_of_63_bytes_which_is_the_longest_that_a_relation_may_hav (
    id integer
);


ALTER TABLE "Größe 漢字".a_name_of_63_bytes_which_is_the_longest_that_a_relation_may_hav OWNER TO postgres;

--
-- Name: line break,	tab and return; Type: TABLE; Schema: Größe 漢字; Owner: postgres
--

CREATE TABLE "Größe 漢字"."line
break,	tab and
return" (
    "co
lumn" integer
);
CREATE TABLE plain.parent (
    id integer,
    t text DEFAULT 'parent''s'::text,
    CONSTRAINT always CHECK ((id > 0)),
    CONSTRAINT here CHECK ((id < 1000000)) NO INHERIT
);


CREATE TABLE plain.child (
    own integer
)
INHERITS (plain.parent, plain.second_parent);

CREATE FOREIGN TABLE plain.far_away (
    id integer NOT NULL,
    t text DEFAULT 'd'::text COLLATE pg_catalog."C",
    CONSTRAINT far_away_id_check CHECK ((id > 0))
)
SERVER "server; one"
OPTIONS (
    path '/x'
);
ALTER FOREIGN TABLE plain.far_away ALTER COLUMN id OPTIONS (
CREATE TABLE plain.of_a_type OF plain.point3 (
    x DEFAULT 1 NOT NULL,
    y NOT NULL
);

