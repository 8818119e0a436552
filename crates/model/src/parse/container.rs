//! Commands and containers: environment, secrets, volumes.

use proto::v1::{
    CommandInfo, ContainerInfo, Environment, Secret, Volume, container_info,
    environment::{Variable, variable},
    secret,
    volume::source,
};

pub fn command_info(command: &CommandInfo) -> Result<(), String> {
    command.environment.as_ref().map_or(Ok(()), environment)
}

pub fn environment(environment: &Environment) -> Result<(), String> {
    environment.variables.iter().try_for_each(environment_variable)
}

fn environment_variable(variable: &Variable) -> Result<(), String> {
    let name = &variable.name;
    match variable.r#type() {
        variable::Type::Unknown => Err("Environment variable of type 'UNKNOWN' is not allowed".into()),
        variable::Type::Value => {
            if variable.value.is_none() {
                return Err(format!("Environment variable '{name}' of type 'VALUE' must have a value set"));
            }
            if variable.secret.is_some() {
                return Err(format!("Environment variable '{name}' of type 'VALUE' must not have a secret set"));
            }
            Ok(())
        }
        variable::Type::Secret => {
            let Some(held) = &variable.secret else {
                return Err(format!("Environment variable '{name}' of type 'SECRET' must have a secret set"));
            };
            if variable.value.is_some() {
                return Err(format!("Environment variable '{name}' of type 'SECRET' must not have a value set"));
            }
            secret(held).map_err(|why| format!("Environment variable '{name}' specifies an invalid secret: {why}"))?;
            if held.value.as_ref().is_some_and(|value| value.data.contains(&0)) {
                return Err(format!(
                    "Environment variable '{name}' specifies a secret containing null bytes, which is not allowed in the \
                     environment"
                ));
            }
            Ok(())
        }
    }
}

pub fn secret(secret: &Secret) -> Result<(), String> {
    match secret.r#type() {
        secret::Type::Unknown => Ok(()),
        secret::Type::Reference => match (&secret.reference, &secret.value) {
            (None, _) => Err("Secret of type REFERENCE must have the 'reference' field set".into()),
            (Some(reference), Some(_)) => {
                Err(format!("Secret '{}' of type REFERENCE must not have the 'value' field set", reference.name))
            }
            (Some(_), None) => Ok(()),
        },
        secret::Type::Value => match (&secret.value, &secret.reference) {
            (None, _) => Err("Secret of type VALUE must have the 'value' field set".into()),
            (Some(_), Some(_)) => Err("Secret of type VALUE must not have the 'reference' field set".into()),
            (Some(_), None) => Ok(()),
        },
    }
}

pub fn container_info(container: &ContainerInfo) -> Result<(), String> {
    container.volumes.iter().try_for_each(volume).map_err(|why| format!("Invalid volume: {why}"))?;
    if container.r#type() != container_info::Type::Docker {
        return Ok(());
    }
    let Some(docker) = &container.docker else {
        return Err("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo".into());
    };
    if docker.parameters.iter().any(|parameter| parameter.key == "name") {
        return Err("Parameter in DockerInfo must not be 'name'".into());
    }
    Ok(())
}

pub fn volume(volume: &Volume) -> Result<(), &'static str> {
    let origins = [volume.host_path.is_some(), volume.image.is_some(), volume.source.is_some()];
    if origins.into_iter().filter(|is_set| *is_set).count() != 1 {
        return Err("Only one of them should be set: 'host_path', 'image' and 'source'");
    }
    let Some(source) = &volume.source else { return Ok(()) };
    let refuse_unless = |is_set: bool, why| if is_set { Ok(()) } else { Err(why) };
    match source.r#type() {
        source::Type::Unknown => Err("'source.type' is unknown"),
        source::Type::DockerVolume => {
            refuse_unless(source.docker_volume.is_some(), "'source.docker_volume' is not set for DOCKER_VOLUME volume")
        }
        source::Type::HostPath => {
            refuse_unless(source.host_path.is_some(), "'source.host_path' is not set for HOST_PATH volume")
        }
        source::Type::SandboxPath => {
            refuse_unless(source.sandbox_path.is_some(), "'source.sandbox_path' is not set for SANDBOX_PATH volume")
        }
        source::Type::Secret => refuse_unless(source.secret.is_some(), "'source.secret' is not set for SECRET volume"),
        source::Type::CsiVolume => match &source.csi_volume {
            None => Err("'source.csi_volume' is not set for CSI volume"),
            Some(csi) => refuse_unless(
                csi.static_provisioning.is_some(),
                "'source.csi_volume.static_provisioning' is not set for CSI volume",
            ),
        },
    }
}
