//! The command-line tools: one file per command with its arguments and its output. [`COMMANDS`]
//! lists them all; completions, manual pages and the multicall program are made from that list.

mod command;
mod command_definition;
mod commands;
pub mod completion;
pub mod generate;
mod manual;
pub mod multicall;
mod r3;
mod run;
pub mod schemas;
pub mod ui;

pub use command::{Command, Run};
pub use command_definition::CommandDefinition;
pub use commands::{
    check::QVM_CHECK,
    clone::QVM_CLONE,
    create::QVM_CREATE,
    db::QUBES_DB,
    domain_xml::QUBES_DOMAIN_XML,
    features::QVM_FEATURES,
    kill::QVM_KILL,
    ls::QVM_LS,
    monitor::QUBES_MONITOR,
    notes::QVM_NOTES,
    pause::{QVM_PAUSE, QVM_UNPAUSE},
    pool::QVM_POOL,
    prefs::{QUBES_PREFS, QVM_PREFS},
    qubes_create::QUBES_CREATE,
    recover::QUBES_RECOVER,
    remove::QVM_REMOVE,
    service::QVM_SERVICE,
    set_updates::QUBES_SET_UPDATES,
    shutdown::QVM_SHUTDOWN,
    start::QVM_START,
    tags::QVM_TAGS,
    template_postprocess::QVM_TEMPLATE_POSTPROCESS,
    volume::QVM_VOLUME,
};
pub use r3::{
    add_appvm::QVM_ADD_APPVM,
    add_template::QVM_ADD_TEMPLATE,
    create_default_dvm::QVM_CREATE_DEFAULT_DVM,
    grow::{QVM_GROW_PRIVATE, QVM_GROW_ROOT},
    init_storage::QVM_INIT_STORAGE,
    template_changes::{QVM_REVERT_TEMPLATE_CHANGES, QVM_TEMPLATE_COMMIT, QVM_TRIM_TEMPLATE},
};
pub use run::{main, run};

/// Every command, in alphabetical order. A program refers to its own alone, so that it does not
/// contain the others.
pub const COMMANDS: &[Command] = &[
    QUBES_CREATE,
    QUBES_DB,
    QUBES_DOMAIN_XML,
    QUBES_MONITOR,
    QUBES_PREFS,
    QUBES_RECOVER,
    QUBES_SET_UPDATES,
    QVM_ADD_APPVM,
    QVM_ADD_TEMPLATE,
    QVM_CHECK,
    QVM_CLONE,
    QVM_CREATE,
    QVM_CREATE_DEFAULT_DVM,
    QVM_FEATURES,
    QVM_GROW_PRIVATE,
    QVM_GROW_ROOT,
    QVM_INIT_STORAGE,
    QVM_KILL,
    QVM_LS,
    QVM_NOTES,
    QVM_PAUSE,
    QVM_POOL,
    QVM_PREFS,
    QVM_REMOVE,
    QVM_REVERT_TEMPLATE_CHANGES,
    QVM_SERVICE,
    QVM_SHUTDOWN,
    QVM_START,
    QVM_TAGS,
    QVM_TEMPLATE_COMMIT,
    QVM_TEMPLATE_POSTPROCESS,
    QVM_TRIM_TEMPLATE,
    QVM_UNPAUSE,
    QVM_VOLUME,
];

/// The definition of every command, in alphabetical order.
pub static DEFINITIONS: [CommandDefinition; COMMANDS.len()] = {
    let mut definitions = [COMMANDS[0].definition(); COMMANDS.len()];
    let mut at = 0;
    while at < COMMANDS.len() {
        definitions[at] = COMMANDS[at].definition();
        at += 1;
    }
    definitions
};
