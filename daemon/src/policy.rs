//! Who may do what: one table of actions by principals, pure.
//!
//! [`Policy::authorize`] is the only maker of [`Authorized`], and nothing acts on a call that is not one. A
//! method without a row in [`Acts::action`] does not compile.

use bursar_proto::call::{ArtifactWatch, Call, QuickGet};

/// As whom a process on the socket acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Principal {
    /// The daemon's own user.
    Owner,
    /// Anybody else. A stranger is turned away before a byte is read, so this row is a second wall.
    Stranger,
}

/// What a call does, as far as rights go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Say who is there.
    Greet,
    /// Look at the agent, or stop it.
    Attend,
    /// Make, open, close, copy or replace the vault.
    Keep,
    /// Read names and attributes.
    Read,
    /// Change organizations, environments, secrets.
    Change,
    /// Have an artifact.
    Use,
    /// Have what a published package gives: its templates, and the artifacts of its elements.
    Install,
    /// Publish a package.
    Publish,
}

impl Action {
    /// Every action, for the test that walks the table.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 8] = [
        Self::Greet,
        Self::Attend,
        Self::Keep,
        Self::Read,
        Self::Change,
        Self::Use,
        Self::Install,
        Self::Publish,
    ];
}

/// What has an action.
pub(crate) trait Acts {
    /// The row of the table.
    fn action(&self) -> Action;
}

impl Acts for Call {
    fn action(&self) -> Action {
        match self {
            Self::Hello(_) => Action::Greet,
            Self::AgentStatus(_) | Self::AgentStop(_) => Action::Attend,
            Self::VaultInit(_)
            | Self::VaultUnlock(_)
            | Self::VaultLock(_)
            | Self::VaultPassphrase(_)
            | Self::VaultRekey(_)
            | Self::VaultBackup(_)
            | Self::VaultRestore(_) => Action::Keep,
            Self::OrganizationList(_)
            | Self::EnvironmentList(_)
            | Self::EnvironmentShow(_)
            | Self::SecretList(_)
            | Self::SecretShow(_)
            | Self::SecretWait(_)
            | Self::SecretWhere(_)
            | Self::ElementList(_)
            | Self::ElementShow(_)
            | Self::ElementResolve(_)
            | Self::LibraryResolve(_)
            | Self::WorkspaceList(_) => Action::Read,
            Self::OrganizationCreate(_)
            | Self::OrganizationDelete(_)
            | Self::EnvironmentCreate(_)
            | Self::EnvironmentDelete(_)
            | Self::SecretCreate(_)
            | Self::SecretEdit(_)
            | Self::SecretBind(_)
            | Self::SecretTest(_)
            | Self::SecretRetry(_)
            | Self::SecretDeactivate(_)
            | Self::SecretReactivate(_)
            | Self::SecretDelete(_)
            | Self::ElementSet(_)
            | Self::ElementDelete(_)
            | Self::WorkspaceTrust(_)
            | Self::WorkspaceForget(_) => Action::Change,
            Self::PackageList(_)
            | Self::PackageShow(_)
            | Self::PackageFetch(_)
            | Self::PackageResolve(_)
            | Self::PackageGet(_)
            | Self::WorkspaceShow(_)
            | Self::WorkspaceRecord(_) => Action::Install,
            Self::PackagePublish(_) => Action::Publish,
            Self::ArtifactGet(_) | Self::ArtifactWatch(_) => Action::Use,
        }
    }
}

impl Acts for ArtifactWatch {
    fn action(&self) -> Action {
        Action::Use
    }
}

impl Acts for QuickGet<'_> {
    fn action(&self) -> Action {
        Action::Use
    }
}

/// A call that may be carried out. Only [`Policy::authorize`] makes one.
pub(crate) struct Authorized<T>(T);

impl<T> Authorized<T> {
    /// The call.
    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

/// The caller may not do this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only the user who runs the agent may do this")]
pub(crate) struct Denied;

/// The table.
pub(crate) struct Policy;

impl Policy {
    /// Lets a call pass, or not.
    pub(crate) fn authorize<T: Acts>(principal: Principal, call: T) -> Result<Authorized<T>, Denied> {
        if Self::allows(principal, call.action()) { Ok(Authorized(call)) } else { Err(Denied) }
    }

    fn allows(principal: Principal, action: Action) -> bool {
        match (principal, action) {
            (
                Principal::Owner,
                Action::Greet
                | Action::Attend
                | Action::Keep
                | Action::Read
                | Action::Change
                | Action::Use
                | Action::Install
                | Action::Publish,
            ) => true,
            (Principal::Stranger, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_may_do_nothing() {
        for action in Action::ALL {
            assert!(!Policy::allows(Principal::Stranger, action), "{action:?}");
            assert!(Policy::allows(Principal::Owner, action), "{action:?}");
        }
    }
}
