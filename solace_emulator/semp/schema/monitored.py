"""What the monitor interface has beyond the config attributes, as of SEMP 2.46: names by type.

A name that is known may be selected and asked for in ``where``; an attribute that the emulator does not keep is absent
from the answer, as the vendor's document allows.
"""

from dataclasses import dataclass
from typing import Final

from .attribute import Kind


@dataclass(frozen=True)
class Monitored:
    """The attributes of a monitored object by type. ``nested`` ones are objects and never kept here."""

    numbers: frozenset[str]
    flags: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    nested: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return self.numbers | self.flags | self.texts | self.nested

    def kind(self, name: str) -> Kind | None:
        """Return an attribute's type, None for an unknown one."""
        kinds: tuple[tuple[Kind, frozenset[str]], ...] = (
            ("number", self.numbers),
            ("flag", self.flags),
            ("text", self.texts),
            ("nested", self.nested),
        )
        return next((kind for kind, names in kinds if name in names), None)


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


MESSAGE_VPN_STATE: Final = Monitored(
    numbers=_names(
        """
        averageBindRequestRate averageRxByteRate averageRxCompressedByteRate averageRxMsgRate
        averageRxUncompressedByteRate averageTxByteRate averageTxCompressedByteRate averageTxMsgRate
        averageTxUncompressedByteRate bindRequestRate configSyncLocalTimeInState controlRxByteCount
        controlRxMsgCount controlTxByteCount controlTxMsgCount dataRxByteCount dataRxMsgCount dataTxByteCount
        dataTxMsgCount discardedRxMsgCount discardedTxMsgCount kafkaBrokerConnectionCount loginRxMsgCount
        loginTxMsgCount maxEffectiveEndpointCount maxEffectiveRxFlowCount maxEffectiveSubscriptionCount
        maxEffectiveTransactedSessionCount maxEffectiveTransactionCount maxEffectiveTxFlowCount
        msgReplayActiveCount msgReplayFailedCount msgReplayInitializingCount msgReplayPendingCompleteCount
        msgSpoolMsgCount msgSpoolRxMsgCount msgSpoolTxMsgCount msgSpoolUsage
        replicationActiveAckPropTxMsgCount replicationActiveAsyncQueuedMsgCount
        replicationActiveLocallyConsumedMsgCount replicationActiveMateFlowCongestedPeakTime
        replicationActiveMateFlowNotCongestedPeakTime replicationActivePromotedQueuedMsgCount
        replicationActiveReconcileRequestRxMsgCount replicationActiveSyncEligiblePeakTime
        replicationActiveSyncIneligiblePeakTime replicationActiveSyncQueuedAsAsyncMsgCount
        replicationActiveSyncQueuedMsgCount replicationActiveTransitionToSyncIneligibleCount
        replicationStandbyAckPropOutOfSeqRxMsgCount replicationStandbyAckPropRxMsgCount
        replicationStandbyReconcileRequestTxMsgCount replicationStandbyRxMsgCount
        replicationStandbyTransactionRequestCount replicationStandbyTransactionRequestFailureCount
        replicationStandbyTransactionRequestSuccessCount rxByteCount rxByteRate rxCompressedByteCount
        rxCompressedByteRate rxMsgCount rxMsgRate rxUncompressedByteCount rxUncompressedByteRate
        subscriptionExportProgress tlsAverageRxByteRate tlsAverageTxByteRate tlsRxByteCount tlsRxByteRate
        tlsTxByteCount tlsTxByteRate txByteCount txByteRate txCompressedByteCount txCompressedByteRate
        txMsgCount txMsgRate txUncompressedByteCount txUncompressedByteRate
        """
    ),
    flags=_names(
        """
        replicationBridgeBoundToQueue replicationBridgeUp replicationQueueBound replicationRemoteBridgeUp
        replicationSyncEligible serviceAmqpPlainTextCompressed serviceAmqpPlainTextUp serviceAmqpTlsCompressed
        serviceAmqpTlsUp serviceMqttPlainTextCompressed serviceMqttPlainTextUp serviceMqttTlsCompressed
        serviceMqttTlsUp serviceMqttTlsWebSocketCompressed serviceMqttTlsWebSocketUp
        serviceMqttWebSocketCompressed serviceMqttWebSocketUp serviceRestIncomingPlainTextCompressed
        serviceRestIncomingPlainTextUp serviceRestIncomingTlsCompressed serviceRestIncomingTlsUp
        serviceSmfPlainTextUp serviceSmfTlsUp serviceWebPlainTextUp serviceWebTlsUp systemManager
        """
    ),
    texts=_names(
        """
        configSyncLocalKey configSyncLocalLastResult configSyncLocalRole configSyncLocalState failureReason
        msgVpnName replicationBridgeName replicationRemoteBridgeName rxCompressionRatio
        serviceAmqpPlainTextFailureReason serviceAmqpTlsFailureReason serviceMqttPlainTextFailureReason
        serviceMqttTlsFailureReason serviceMqttTlsWebSocketFailureReason serviceMqttWebSocketFailureReason
        serviceRestIncomingPlainTextFailureReason serviceRestIncomingTlsFailureReason
        serviceSmfPlainTextFailureReason serviceSmfTlsFailureReason serviceWebPlainTextFailureReason
        serviceWebTlsFailureReason state txCompressionRatio
        """
    ),
    nested=_names("counter rate"),
)
QUEUE_STATE: Final = Monitored(
    numbers=_names(
        """
        alreadyBoundBindFailureCount averageBindRequestRate averageRxByteRate averageRxMsgRate
        averageTxByteRate averageTxMsgRate bindRequestCount bindRequestRate bindSuccessCount
        clientProfileDeniedDiscardedMsgCount deletedMsgCount destinationGroupErrorDiscardedMsgCount
        disabledBindFailureCount disabledDiscardedMsgCount highestAckedMsgId highestMsgId
        inProgressAckMsgCount invalidSelectorBindFailureCount lastReplayCompleteTime lastReplayFailureTime
        lastReplayStartTime lastReplayedMsgTxTime lastSpooledMsgId lowPriorityMsgCongestionDiscardedMsgCount
        lowestAckedMsgId lowestMsgId maxBindCountExceededBindFailureCount maxMsgSizeExceededDiscardedMsgCount
        maxMsgSpoolUsageExceededDiscardedMsgCount maxRedeliveryExceededDiscardedMsgCount
        maxRedeliveryExceededToDmqFailedMsgCount maxRedeliveryExceededToDmqMsgCount
        maxTtlExceededDiscardedMsgCount maxTtlExpiredDiscardedMsgCount maxTtlExpiredToDmqFailedMsgCount
        maxTtlExpiredToDmqMsgCount msgSpoolPeakUsage msgSpoolUsage noLocalDeliveryDiscardedMsgCount
        otherBindFailureCount partitionNumber partitionOperationalCount redeliveredMsgCount replayFailureCount
        replayStartCount replaySuccessCount replayedAckedMsgCount replayedTxMsgCount
        replicationActiveAckPropTxMsgCount replicationStandbyAckPropRxMsgCount
        replicationStandbyAckedByAckPropMsgCount replicationStandbyRxMsgCount rxByteRate rxMsgRate
        spooledByteCount spooledMsgCount transportRetransmitMsgCount txByteRate txMsgRate txUnackedMsgCount
        xaTransactionNotSupportedDiscardedMsgCount
        """
    ),
    flags=_names("createdByManagement durable txSelector"),
    texts=_names(
        """
        bindTimeForwardingMode lastReplayFailureReason lowPriorityMsgCongestionState msgVpnName networkTopic
        partitionClientName partitionQueueName partitionRebalanceStatus partitionScaleStatus partitionStatus
        queueName replayState virtualRouter
        """
    ),
)
QUEUE_SUBSCRIPTION: Final = Monitored(
    numbers=frozenset(),
    flags=_names("createdByManagement"),
    texts=_names("msgVpnName queueName subscriptionTopic"),
)
QUEUE_FLOW: Final = Monitored(
    numbers=_names(
        """
        ackedMsgCount activationTime bindTime cutThroughAckedMsgCount flowId highestAckPendingMsgId
        lastAckedMsgId lastSelectorExaminedMsgId lowestAckPendingMsgId maxUnackedMsgsExceededMsgCount
        redeliveredMsgCount redeliveryRequestCount selectorExaminedMsgCount selectorMatchedMsgCount
        selectorNotMatchedMsgCount storeAndForwardAckedMsgCount transportRetransmitMsgCount unackedMsgCount
        usedWindowSize windowClosedCount windowSize
        """
    ),
    flags=_names("consumerRedeliveryRequestAllowed noLocalDelivery"),
    texts=_names(
        """
        activityState activityUpdateState clientName deliveryState msgVpnName queueName selector sessionName
        """
    ),
)
QUEUE_MESSAGE: Final = Monitored(
    numbers=_names(
        """
        attachmentSize contentSize deliveryEligibleTime expiryTime msgId partitionKeyHash priority publisherId
        redeliveryCount replicatedMateMsgId spooledTime
        """
    ),
    flags=_names("dmqEligible undelivered"),
    texts=_names("msgVpnName partitionKey queueName replicationGroupMsgId replicationState"),
)
REPLAY_LOG_STATE: Final = Monitored(numbers=_names("msgSpoolUsage"), texts=_names("msgVpnName replayLogName"))
REPLAY_LOG_MESSAGE: Final = Monitored(
    numbers=_names("attachmentSize contentSize msgId priority publisherId sequenceNumber spooledTime"),
    flags=_names("dmqEligible"),
    texts=_names("msgVpnName replayLogName replicationGroupMsgId"),
)
REPLAY_LOG_SUBSCRIPTION: Final = Monitored(
    numbers=frozenset(), texts=_names("msgVpnName replayLogName topicFilterSubscription")
)
CLIENT: Final = Monitored(
    numbers=_names(
        """
        alreadyBoundBindFailureCount amqpLinkCount amqpSessionCount averageRxByteRate averageRxMsgRate
        averageTxByteRate averageTxMsgRate bindRequestCount bindSuccessCount clientId controlRxByteCount
        controlRxMsgCount controlTxByteCount controlTxMsgCount cutThroughDeniedBindFailureCount
        dataRxByteCount dataRxMsgCount dataTxByteCount dataTxMsgCount disabledBindFailureCount
        dtoLocalPriority dtoNetworkPriority elidingTopicCount elidingTopicPeakCount
        guaranteedDeniedBindFailureCount invalidSelectorBindFailureCount keepaliveEffectiveTimeout
        loginRxMsgCount loginTxMsgCount maxBindCountExceededBindFailureCount mqttConnackErrorTxCount
        mqttConnackTxCount mqttConnectRxCount mqttDisconnectRxCount mqttPingreqRxCount mqttPingrespTxCount
        mqttPubackRxCount mqttPubackTxCount mqttPubcompTxCount mqttPublishQos0RxCount mqttPublishQos0TxCount
        mqttPublishQos1RxCount mqttPublishQos1TxCount mqttPublishQos2RxCount mqttPubrecTxCount
        mqttPubrelRxCount mqttSubackErrorTxCount mqttSubackTxCount mqttSubscribeRxCount mqttUnsubackTxCount
        mqttUnsubscribeRxCount msgSpoolCongestionRxDiscardedMsgCount msgSpoolRxDiscardedMsgCount
        noSubscriptionMatchRxDiscardedMsgCount otherBindFailureCount publishTopicAclRxDiscardedMsgCount
        restHttpRequestRxByteCount restHttpRequestRxMsgCount restHttpRequestTxByteCount
        restHttpRequestTxMsgCount restHttpResponseErrorRxMsgCount restHttpResponseErrorTxMsgCount
        restHttpResponseRxByteCount restHttpResponseRxMsgCount restHttpResponseSuccessRxMsgCount
        restHttpResponseSuccessTxMsgCount restHttpResponseTimeoutRxMsgCount restHttpResponseTimeoutTxMsgCount
        restHttpResponseTxByteCount restHttpResponseTxMsgCount rxByteCount rxByteRate rxDiscardedMsgCount
        rxMsgCount rxMsgRate scheduledDisconnectTime topicParseErrorRxDiscardedMsgCount txByteCount txByteRate
        txDiscardedMsgCount txMsgCount txMsgRate uptime webInactiveTimeout webMaxPayload
        webParseErrorRxDiscardedMsgCount webRemainingTimeout webRxByteCount webRxMsgCount webRxRequestCount
        webRxResponseCount webTxByteCount webTxMsgCount webTxRequestCount webTxResponseCount
        """
    ),
    flags=_names(
        """
        eliding keepalive largeMsgEventRaised maxElidingTopicCountEventRaised noLocalDelivery slowSubscriber
        tlsDowngradedToPlainText
        """
    ),
    texts=_names(
        """
        aclProfileName aliasedFromMsgVpnName authorizationGroupName clientAddress clientName clientProfileName
        clientUsername description msgVpnName originalClientUsername platform softwareDate softwareVersion
        tlsCipherDescription tlsVersion user virtualRouter webRxEncoding webRxProtocol webRxTcpState
        webRxTlsCipherDescription webRxTlsVersion webSessionId webTxEncoding webTxProtocol webTxTcpState
        webTxTlsCipherDescription webTxTlsVersion
        """
    ),
)
CLIENT_SUBSCRIPTION: Final = Monitored(
    numbers=frozenset(),
    texts=_names("clientName dtoPriority msgVpnName subscriptionTopic"),
)
