#!lua flags=allow-oom
-- Apply a batch of verdicts: ack, status record, retry time, dead letter, follow-up
-- events and deletion, for each job together or not at all. A verdict counts only
-- while the consumer holds the entry at the delivery that it was given.
--
-- KEYS[1]   stream
-- KEYS[2]   retry set of the group
-- KEYS[3]   dead letters of the group
-- KEYS[4]   cancelled jobs of the group
-- KEYS[5..] in the order of use: the target of each emitted event, the status record
--           of each verdict that has one
--
-- ARGV[1]   group
-- ARGV[2]   consumer
-- ARGV[3]   how long a status record is kept, ms
-- ARGV[4]   n, the number of verdicts
-- ARGV[5..] n pairs: entry ID, delivery count; then for each, in the same order:
--   s m                    succeeded, no record: this one and the m - 1 that follow
--   S m state type, then m times: data started finished
--                          done, and the record says how   [m keys: records]
--   R state type data started finished result note
--                          done, with a result or a note   [1 key: record]
--   r delay_ms error deliveries
--                          failed, another attempt follows, unless it was cancelled; how
--                          many deliveries it may have is noted for those who look
--                                                          [1 key: record]
--   d reason error         dead                            [1 key: record, deleted]
--   b                      given back: this delivery does not count
--   f for                  not for this group, but for another one; where there is none
--                          of that name, dead, and gone from the stream
--   before its verdict, for each emitted event:
--   e n field value ...    n strings follow                [1 key: target]
--
-- Returns a flat list of those refused: position (from 1), why. Why is '' (pending no
-- more), '=' .. consumer (who holds it), '!deleted' (no longer in the stream), or
-- '!emit' and what is known of it (a target takes no event).
local FIRST_KEY = 5
--@include settling

return refused
