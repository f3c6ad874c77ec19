//! A campaign of a million registrations.

use crate::measure::Measured;

pub(crate) async fn walk() -> Measured<()> {
    Ok(())
}
