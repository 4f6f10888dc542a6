//! `gen`: code and objects made from objects.

use super::{HELP, OPTIONS_BEGIN, Object, later};

pub(super) static OBJECT: Object = Object {
    name: "gen",
    commands: &[later("object"), later("skeleton"), later("subskeleton"), later("min_core_btf"), HELP],
    usage: &[
        "object OUTPUT_FILE INPUT_FILE [INPUT_FILE...]",
        "skeleton FILE [name OBJECT_NAME]",
        "subskeleton FILE [name OBJECT_NAME]",
        "min_core_btf INPUT OUTPUT OBJECT [OBJECT...]",
        "help",
    ],
    terms: &[
        "",
        OPTIONS_BEGIN,
        "             {-L|--use-loader} | [ {-S|--sign } {-k} <private_key.pem> {-i} <certificate.x509> ]}",
    ],
};
