//! System tests: one file for each promise, each against real binaries in a home of their own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking, says on stderr what it leaves out, and gives json literals away"
)]

mod a_credential_becomes_an_artifact;
mod a_foreign_client_works;
mod a_library_is_resolved_whole;
mod a_library_reaches_files_in_two_stages;
mod a_published_version_never_changes;
mod a_sync_is_whole_or_nothing;
mod a_sync_keeps_up_what_was_built;
mod a_workspace_trusts_once;
mod answers_about_elements_hold_no_value;
mod backup_restores_whole;
mod bare_names_are_the_workspaces;
mod binding_is_once;
mod canary;
mod check_tells_every_cell;
mod command_line;
mod elements_on_the_command_line;
mod elements_resolve_to_the_secret_of_their_stage;
mod every_type_gives_its_artifact;
mod exchange_failures_are_explained;
mod exec_becomes_the_command;
mod exec_files_go_with_the_command;
mod exec_gives_what_is_named;
mod files_stay_in_their_place;
mod full_disk;
mod git_never_tracks_a_value;
mod hostile_lines_do_no_harm;
mod kill_9_loses_nothing_acknowledged;
mod masked_output_holds_no_value;
mod names_and_fields_are_checked;
mod nothing_dead_is_served;
mod one_exchange_for_many_callers;
mod other_users_are_refused;
mod packages_hand_out_what_they_name;
mod readme_tour;
mod refresh_happens_before_expiry;
mod restarts_and_stale_sockets;
mod standard_policy_edges;
mod templates_render_or_say_where_not;
mod the_agent_knows_its_workspaces;
mod the_config_is_obeyed;
mod the_lock_pins_what_was_chosen;
mod the_vault_opens_only_with_its_key;
mod watchers_are_told;
mod what_is_published_holds_no_fault_and_no_secret;
mod where_a_secret_is_applied;
