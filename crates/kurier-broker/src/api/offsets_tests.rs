use bytes::Bytes;
use kafka_protocol::messages::list_offsets_request::ListOffsetsTopic;
use kafka_protocol::messages::{ApiKey, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::api::answer;
use crate::api::testing::{cluster, request};
use crate::wire::frame::read_response;

/// The answer to "where does partition 0 end?"
async fn end_of_log(cluster: &Call, version: i16) -> ListOffsetsPartitionResponse {
    let partition = ListOffsetsPartition::default().with_timestamp(LATEST);
    let partition = partition.with_current_leader_epoch(-1);
    let topic = ListOffsetsTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("name")))
        .with_partitions(vec![partition]);
    let asked = ListOffsetsRequest::default().with_topics(vec![topic]);
    let mut body = bytes::BytesMut::new();
    kafka_protocol::protocol::Encodable::encode(&asked, &mut body, version).expect("encodes");
    let request = request(ApiKey::ListOffsets as i16, version, &body);
    let frame: Bytes = answer(cluster, request).await.expect("answered").expect("with something");
    let response: ListOffsetsResponse = read_response(frame, version).expect("reads back");
    response.topics[0].partitions[0].clone()
}

#[tokio::test]
async fn the_end_of_a_log_is_told_in_every_version_with_an_epoch_where_there_is_room_for_it() {
    let cluster = cluster();
    let led_in = cluster.core.lock().topics["name"].partitions[0].epoch();
    for version in 1..=7 {
        let told = end_of_log(&cluster, version).await;
        assert_eq!((told.error_code, told.offset), (0, 0), "version {version}");
        let epoch = if version < 4 { -1 } else { led_in };
        assert_eq!(told.leader_epoch, epoch, "version {version}");
    }
}
