//! The rows of the geospatial commands.

use super::{add, radius, read, search};
use crate::effects::Journal;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] = &[
    GEOADD,
    GEODIST,
    GEOHASH,
    GEOPOS,
    GEORADIUS,
    GEORADIUSBYMEMBER,
    GEORADIUSBYMEMBER_RO,
    GEORADIUS_RO,
    GEOSEARCH,
    GEOSEARCHSTORE,
];

const UNIT: Arg = Arg::one_of(
    "unit",
    &[Arg::token("m", "m"), Arg::token("km", "km"), Arg::token("ft", "ft"), Arg::token("mi", "mi")],
);
const CENTRE: Arg = Arg::one_of(
    "from",
    &[
        Arg::new("member", "string").after("FROMMEMBER"),
        Arg::block("fromlonlat", &[Arg::new("longitude", "double"), Arg::new("latitude", "double")])
            .after("FROMLONLAT"),
    ],
);
const AREA: Arg = Arg::one_of(
    "by",
    &[
        Arg::block("circle", &[Arg::new("radius", "double").after("BYRADIUS"), UNIT]),
        Arg::block("box", &[Arg::new("width", "double").after("BYBOX"), Arg::new("height", "double"), UNIT]),
    ],
);
const COUNT: Arg = Arg::block(
    "count-block",
    &[Arg::new("count", "integer").after("COUNT"), Arg::token("any", "ANY").optional()],
)
.optional();
const ORDER: Arg = Arg::one_of("order", &[Arg::token("asc", "ASC"), Arg::token("desc", "DESC")]).optional();

/// What most commands have in common.
const GEO: Command = Command {
    flags: Flags::READONLY,
    categories: &["geo"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    crossing: Crossing::OneShard,
    group: "geo",
    ..Command::EMPTY
};

const GEOADD: Command = Command {
    name: "geoadd",
    arity: -5,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::SIGNALS),
    keys: &[KeySpec::range(1, 1, 1, &["RW", "update"])],
    handler: add::geoadd,
    summary: "Adds places to a geospatial index, or moves them.",
    since: "3.2.0",
    complexity: "O(log(N)) for each place, with N the number of places",
    history: &[("6.2.0", "`CH`, `NX` and `XX` came.")],
    args: &[
        Arg::key(),
        Arg::one_of("condition", &[Arg::token("nx", "NX"), Arg::token("xx", "XX")]).optional().since("6.2.0"),
        Arg::token("change", "CH").optional().since("6.2.0"),
        Arg::block(
            "data",
            &[Arg::new("longitude", "double"), Arg::new("latitude", "double"), Arg::new("member", "string")],
        )
        .multiple(),
    ],
    ..GEO
};

const GEODIST: Command = Command {
    name: "geodist",
    arity: -4,
    handler: read::geodist,
    summary: "Answers the distance between two places.",
    since: "3.2.0",
    args: &[Arg::key(), Arg::new("member1", "string"), Arg::new("member2", "string"), UNIT.optional()],
    ..GEO
};

const GEOHASH: Command = Command {
    name: "geohash",
    arity: -2,
    handler: read::geohash,
    summary: "Answers the geohashes of places.",
    since: "3.2.0",
    complexity: "O(N) with N the number of places asked for",
    args: &[Arg::key(), Arg::new("member", "string").optional().multiple()],
    ..GEO
};

const GEOPOS: Command = Command {
    name: "geopos",
    arity: -2,
    handler: read::geopos,
    summary: "Answers the longitude and latitude of places.",
    since: "3.2.0",
    complexity: "O(N) with N the number of places asked for",
    args: &[Arg::key(), Arg::new("member", "string").optional().multiple()],
    ..GEO
};

const GEORADIUS: Command = Command {
    name: "georadius",
    arity: -6,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::SIGNALS),
    keys: &[
        KeySpec::range(1, 1, 1, &["RO", "access"]),
        KeySpec::after("STORE", 6, &["OW", "update"]),
        KeySpec::after("STOREDIST", 6, &["OW", "update"]),
    ],
    get_keys: Some(radius::keys),
    crossing: Crossing::TwoHops,
    journal: Journal::Rewritten,
    handler: radius::georadius,
    summary: "Answers or stores the places within a distance of a point.",
    since: "3.2.0",
    complexity: "O(N+log(M)) with N the number of members in the squares around the area and M the number of all members",
    history: &[("6.2.0", "`ANY` came to `COUNT`."), ("7.0.0", "Units may be in upper case.")],
    deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with `BYRADIUS`")),
    args: &[
        Arg::key(),
        Arg::new("longitude", "double"),
        Arg::new("latitude", "double"),
        Arg::new("radius", "double"),
        UNIT,
        Arg::token("withcoord", "WITHCOORD").optional(),
        Arg::token("withdist", "WITHDIST").optional(),
        Arg::token("withhash", "WITHHASH").optional(),
        Arg::block(
            "count-block",
            &[
                Arg::new("count", "integer").after("COUNT"),
                Arg::token("any", "ANY").optional().since("6.2.0"),
            ],
        )
        .optional(),
        ORDER,
        Arg::one_of(
            "store",
            &[
                Arg { display: "key", ..Arg::key_named("storekey", 1).after("STORE") },
                Arg { display: "key", ..Arg::key_named("storedistkey", 2).after("STOREDIST") },
            ],
        )
        .optional(),
    ],
    ..GEO
};

const GEORADIUSBYMEMBER: Command = Command {
    name: "georadiusbymember",
    arity: -5,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::SIGNALS),
    keys: &[
        KeySpec::range(1, 1, 1, &["RO", "access"]),
        KeySpec::after("STORE", 5, &["OW", "update"]),
        KeySpec::after("STOREDIST", 5, &["OW", "update"]),
    ],
    get_keys: Some(radius::keys),
    crossing: Crossing::TwoHops,
    journal: Journal::Rewritten,
    handler: radius::georadiusbymember,
    summary: "Answers or stores the places within a distance of another.",
    since: "3.2.0",
    complexity: "O(N+log(M)) with N the number of members in the squares around the area and M the number of all members",
    history: &[("7.0.0", "Units may be in upper case.")],
    deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with `BYRADIUS` and `FROMMEMBER`")),
    args: &[
        Arg::key(),
        Arg::new("member", "string"),
        Arg::new("radius", "double"),
        UNIT,
        Arg::token("withcoord", "WITHCOORD").optional(),
        Arg::token("withdist", "WITHDIST").optional(),
        Arg::token("withhash", "WITHHASH").optional(),
        COUNT,
        ORDER,
        Arg::one_of(
            "store",
            &[
                Arg { display: "key", ..Arg::key_named("storekey", 1).after("STORE") },
                Arg { display: "key", ..Arg::key_named("storedistkey", 2).after("STOREDIST") },
            ],
        )
        .optional(),
    ],
    ..GEO
};

const GEORADIUSBYMEMBER_RO: Command = Command {
    name: "georadiusbymember_ro",
    arity: -5,
    handler: radius::georadiusbymember_ro,
    summary: "Answers the places within a distance of another.",
    since: "3.2.10",
    complexity: "O(N+log(M)) with N the number of members in the squares around the area and M the number of all members",
    deprecated: Some(("6.2.0", "`GEOSEARCH` with `BYRADIUS` and `FROMMEMBER`")),
    args: &[
        Arg::key(),
        Arg::new("member", "string"),
        Arg::new("radius", "double"),
        UNIT,
        Arg::token("withcoord", "WITHCOORD").optional(),
        Arg::token("withdist", "WITHDIST").optional(),
        Arg::token("withhash", "WITHHASH").optional(),
        COUNT,
        ORDER,
    ],
    ..GEO
};

const GEORADIUS_RO: Command = Command {
    name: "georadius_ro",
    arity: -6,
    handler: radius::georadius_ro,
    summary: "Answers the places within a distance of a point.",
    since: "3.2.10",
    complexity: "O(N+log(M)) with N the number of members in the squares around the area and M the number of all members",
    history: &[("6.2.0", "`ANY` came to `COUNT`.")],
    deprecated: Some(("6.2.0", "`GEOSEARCH` with `BYRADIUS`")),
    args: &[
        Arg::key(),
        Arg::new("longitude", "double"),
        Arg::new("latitude", "double"),
        Arg::new("radius", "double"),
        UNIT,
        Arg::token("withcoord", "WITHCOORD").optional(),
        Arg::token("withdist", "WITHDIST").optional(),
        Arg::token("withhash", "WITHHASH").optional(),
        Arg::block(
            "count-block",
            &[
                Arg::new("count", "integer").after("COUNT"),
                Arg::token("any", "ANY").optional().since("6.2.0"),
            ],
        )
        .optional(),
        ORDER,
    ],
    ..GEO
};

const GEOSEARCH: Command = Command {
    name: "geosearch",
    arity: -7,
    handler: search::geosearch,
    summary: "Answers the places in a circle or box.",
    since: "6.2.0",
    complexity: "O(N+log(M)) with N the number of members in the squares around the area and M the number of all members",
    history: &[("7.0.0", "Units may be in upper case.")],
    args: &[
        Arg::key(),
        CENTRE,
        AREA,
        ORDER,
        COUNT,
        Arg::token("withcoord", "WITHCOORD").optional(),
        Arg::token("withdist", "WITHDIST").optional(),
        Arg::token("withhash", "WITHHASH").optional(),
    ],
    ..GEO
};

const GEOSEARCHSTORE: Command = Command {
    name: "geosearchstore",
    arity: -8,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::SIGNALS),
    keys: &[KeySpec::range(1, 1, 1, &["OW", "update"]), KeySpec::range(2, 2, 1, &["RO", "access"])],
    crossing: Crossing::TwoHops,
    journal: Journal::Rewritten,
    handler: search::geosearchstore,
    summary: "Stores the places in a circle or box.",
    since: "6.2.0",
    complexity: "O(N+log(M)) with N the number of members in the squares around the area and M the number of all members",
    history: &[("7.0.0", "Units may be in upper case.")],
    args: &[
        Arg::key_named("destination", 0),
        Arg::key_named("source", 1),
        CENTRE,
        AREA,
        ORDER,
        COUNT,
        Arg::token("storedist", "STOREDIST").optional(),
    ],
    ..GEO
};
