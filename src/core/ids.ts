/** Names a request from the moment its head is read; unique over all runs of all replicas. `req_…` */
export type RequestId = string

/** Counts attempts of one scheduler, from 1. Unique within a run; the journal names attempts by request and number. */
export type AttemptId = number

/** `model/provider`, or `model/provider#2` where a model lists the same provider twice. */
export type EndpointId = string

export type TenantId = string
