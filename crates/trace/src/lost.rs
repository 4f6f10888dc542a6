//! What did not arrive: records that found no room in their ring, and runs of probes that the kernel left out.

use std::os::fd::AsFd;

use skep_compile::artifact::{Artifact, MapRole, Program};
use skep_kernel::bpf;
use skep_lang::hir::Target;

use crate::error::{Error, Result};
use crate::load::Loaded;

/// How much each probe lost.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    probes: Vec<(String, u64)>,
}

impl Lost {
    /// The probes that lost anything.
    pub fn probes(&self) -> &[(String, u64)] {
        &self.probes
    }

    /// What all of them lost.
    pub fn total(&self) -> u64 {
        self.probes.iter().map(|(_, count)| count).sum()
    }

    /// Counts `count` more for a probe.
    pub fn add(&mut self, name: &str, count: u64) {
        if count == 0 {
            return;
        }
        match self.probes.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += count,
            None => self.probes.push((name.to_owned(), count)),
        }
    }

    /// Counts what the programs of a script lost themselves: their records, and runs left out because the CPU was
    /// in another program.
    pub fn add_programs(&mut self, artifact: &Artifact, loaded: &Loaded) -> Result<()> {
        for program in &loaded.programs {
            // Several programs of one kind may stand for one of the artifact; its slot is theirs together.
            let missed = bpf::prog_info(program.fd.as_fd()).map_or(0, |info| info.recursion_misses);
            if let Some(program) = artifact.programs.get(program.index) {
                self.add(&in_short(program, &artifact.targets), missed);
            }
        }
        let records = records(artifact, loaded)?;
        for program in &artifact.programs {
            let count = records.get(program.lost_slot as usize).copied().unwrap_or(0);
            self.add(&in_short(program, &artifact.targets), count);
        }
        Ok(())
    }
}

/// For each slot of the map of lost records, the sum over the CPUs.
fn records(artifact: &Artifact, loaded: &Loaded) -> Result<Vec<u64>> {
    let index = artifact.maps.iter().position(|spec| spec.role == MapRole::Lost);
    let Some(map) = index.and_then(|index| loaded.maps.get(index)) else { return Ok(Vec::new()) };
    (0..map.max_entries())
        .map(|slot| {
            let cpus = map
                .lookup(&slot.to_le_bytes())
                .map_err(Error::kernel("cannot read how many records were lost"))?
                .unwrap_or_default();
            Ok(cpus.as_chunks::<8>().0.iter().map(|cpu| u64::from_le_bytes(*cpu)).sum())
        })
        .collect()
}

/// What a program is attached to, in short.
pub(crate) fn in_short(program: &Program, targets: &[Target]) -> String {
    let mut names =
        program.targets.iter().filter_map(|id| targets.get(id.0 as usize)).map(|target| target.name.as_str());
    match (names.next(), names.count()) {
        (Some(name), 0) => name.to_owned(),
        (Some(name), more) => format!("{name} and {more} more"),
        (None, _) => program.name.clone(),
    }
}
