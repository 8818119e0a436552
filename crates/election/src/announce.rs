//! What a master tells of itself where masters are found: its `MasterInfo` as Mesos writes it there, JSON with sorted
//! names.

use bytes::Bytes;
use proto::{json, v1::MasterInfo, wire};

pub fn write(info: &MasterInfo) -> Bytes {
    let mut value = json::to_value(info);
    value.sort_all_objects();
    value.to_string().into()
}

/// Reads JSON, or the protobuf that masters from before Mesos 0.24 leave.
pub fn read(bytes: &[u8]) -> Option<MasterInfo> {
    json::from_slice(bytes).or_else(|_| wire::decode(bytes)).ok()
}

/// `host:port` where a master is reached.
pub fn address(info: &MasterInfo) -> String {
    let ip = info.address.as_ref().and_then(|address| address.ip.clone());
    let ip = ip.unwrap_or_else(|| std::net::Ipv4Addr::from(info.ip.to_le_bytes()).to_string());
    match ip.contains(':') {
        true => format!("[{ip}]:{}", info.port),
        false => format!("{ip}:{}", info.port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a master of Mesos 1.11 left it in ZooKeeper.
    const REAL: &str = r#"{"address":{"hostname":"localhost","ip":"127.0.0.1","port":5050},"capabilities":[{"type":"AGENT_UPDATE"}],"hostname":"localhost","id":"4c5b16a8-9b3e-4b4b-8a8f-6b0f6ac3a3cf","ip":16777343,"pid":"master@127.0.0.1:5050","port":5050,"version":"1.11.0"}"#;

    #[test]
    fn the_text_is_that_of_mesos() {
        let info = read(REAL.as_bytes()).unwrap();
        assert_eq!(address(&info), "127.0.0.1:5050");
        assert_eq!(write(&info), REAL);
    }

    #[test]
    fn unknown_names_and_capabilities_do_no_harm() {
        let text = REAL.replace("\"AGENT_UPDATE\"", "\"QUOTA_V2\"").replace("{\"address\"", "{\"new\":1,\"address\"");
        assert!(read(text.as_bytes()).is_some());
        assert!(read(b"").is_none_or(|info| info.id.is_empty()));
    }
}
