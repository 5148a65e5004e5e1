//! System tests: one file for each promise, each against real binaries in a home of their own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking, says on stderr what it leaves out, and gives json literals away"
)]

mod a_backup_revives_no_right;
mod a_browser_is_opened_where_a_person_agrees;
mod a_browser_walks_the_whole_way;
mod a_code_brings_a_whole_grant_or_none;
mod a_credential_becomes_an_artifact;
mod a_foreign_client_works;
mod a_full_disk_loses_no_refresh_token;
mod a_grant_goes_to_no_other_client;
mod a_grant_refreshes_by_itself;
mod a_grant_that_ends_needs_a_person;
mod a_kill_in_an_authorization_is_told;
mod a_kill_loses_no_refresh_token;
mod a_kill_tells_sent_from_never_sent;
mod a_library_is_resolved_whole;
mod a_library_reaches_files_in_two_stages;
mod a_list_that_is_not_understood_leaves_no_rights;
mod a_lock_or_a_stop_loses_no_refresh_token;
mod a_locked_vault_has_recorded_what_it_gave;
mod a_missed_watchdog_restarts_the_agent;
mod a_package_installs_upgrades_and_goes;
mod a_person_consents_at_real_issuers;
mod a_person_grants_once;
mod a_power_cut_leaves_the_server_whole;
mod a_power_cut_loses_no_refresh_token;
mod a_published_version_never_changes;
mod a_redirect_waits_for_vault_and_secret;
mod a_refusal_does_not_say_what_there_is;
mod a_right_that_ends_ends_what_waits_for_it;
mod a_server_boots_unlocked;
mod a_socket_starts_the_agent;
mod a_sync_is_whole_or_nothing;
mod a_sync_keeps_up_what_was_built;
mod a_user_manager_has_an_agent;
mod a_workspace_trusts_once;
mod an_address_can_be_pasted;
mod answers_about_elements_hold_no_value;
mod automation_needs_no_person;
mod backup_restores_whole;
mod bare_names_are_the_workspaces;
mod binding_is_once;
mod canary;
mod check_tells_every_cell;
mod client_secrets_are_refused_with_a_reason;
mod client_secrets_are_shown_once;
mod client_secrets_give_what_their_role_says;
mod command_line;
mod commands_of_client_secrets;
mod deleted_secrets_leave_tombstones;
mod deleted_values_are_swept_by_sync;
mod elements_on_the_command_line;
mod elements_resolve_to_the_secret_of_their_stage;
mod every_access_is_recorded;
mod every_method_by_every_principal;
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
mod no_stranger_keeps_a_person_out;
mod nobody_fills_the_record_of_others;
mod nobody_waits_for_a_person_in_vain;
mod non_interactive_mode;
mod nothing_dead_is_served;
mod one_exchange_for_many_callers;
mod other_users_are_refused;
mod other_users_have_a_share_of_the_connections;
mod packages_hand_out_what_they_name;
mod pages_and_users_of_others_reach_no_grant;
mod readme_tour;
mod refresh_happens_before_expiry;
mod restarts_and_stale_sockets;
mod roles_of_the_config_need_no_secret;
mod standard_policy_edges;
mod templates_render_or_say_where_not;
mod the_agent_knows_its_workspaces;
mod the_automation_page_works;
mod the_config_is_obeyed;
mod the_listener_tells_strangers_nothing;
mod the_lock_pins_what_was_chosen;
mod the_vault_opens_only_with_its_key;
mod the_way_back_is_open_as_long_as_it_is_needed;
mod use_is_counted_by_day;
mod watchers_are_told;
mod what_a_person_granted_is_not_lost_between;
mod what_a_person_granted_is_shown_nowhere;
mod what_a_redirect_cannot_do;
mod what_ends_is_listed;
mod what_is_published_holds_no_fault_and_no_secret;
mod what_is_said_of_an_authorization_is_true;
mod where_a_secret_is_applied;
mod who_publishes_learns_nothing_of_other_environments;
mod workspaces_of_others_stay_as_they_are;
mod wrong_client_secrets_cost_time;
