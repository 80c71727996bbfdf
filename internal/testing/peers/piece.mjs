// @web3-storage/data-segment computes the same piece CIDs.
import assert from 'node:assert/strict'
import test from 'node:test'
import { Piece } from '@web3-storage/data-segment'
import { repository } from './fixture.mjs'

const { bytesOf, report } = repository

test('piece CIDs of all shards', () => {
  assert.ok(report.shards.some(shard => shard.kind === 'data') && report.shards.some(shard => shard.kind === 'dag'))
  for (const shard of report.shards) {
    assert.equal(shard.piece_cid, Piece.fromPayload(bytesOf(shard)).toString(), shard.location)
  }
})
