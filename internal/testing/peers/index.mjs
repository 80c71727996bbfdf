// @storacha/blob-index decodes the indexes, and finds each block where it lies.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { CarIndexer } from '@ipld/car'
import { ShardedDAGIndex } from '@storacha/blob-index'
import { CID } from 'multiformats/cid'
import { repository } from './fixture.mjs'

// hex is how digests are compared.
const hex = bytes => Buffer.from(bytes).toString('hex')

function decodeAll () {
  const { dir, guppy, json, report } = repository
  const shards = new Map()
  for (const { cid } of json('index', 'ls').indexes) {
    const file = join(dir, cid)
    guppy('index', 'cat', cid, '-o', file)
    const decoded = ShardedDAGIndex.extract(readFileSync(file))
    assert.ok(decoded.ok, decoded.error)
    assert.equal(decoded.ok.content.toString(), report.root_cid)
    for (const [digest, slices] of decoded.ok.shards.entries()) shards.set(hex(digest.bytes), slices)
  }
  return shards
}

test('each slice is where the index says', async () => {
  const { bytesOf, report } = repository
  const indexed = decodeAll()
  assert.equal(indexed.size, report.shards.length)
  for (const shard of report.shards) {
    const bytes = bytesOf(shard)
    const slices = indexed.get(hex(CID.parse(shard.cid).multihash.bytes))
    assert.ok(slices, `no slices of ${shard.cid}`)
    const places = new Map()
    for (const [digest, [offset, length]] of slices.entries()) {
      assert.equal(createHash('sha256').update(bytes.subarray(offset, offset + length)).digest('hex'), hex(digest.digest))
      places.set(hex(digest.bytes), [offset, length])
    }
    for await (const { cid, blockOffset, blockLength } of await CarIndexer.fromBytes(bytes)) {
      assert.deepEqual(places.get(hex(cid.multihash.bytes)), [blockOffset, blockLength])
    }
    assert.deepEqual(places.get(hex(CID.parse(shard.cid).multihash.bytes)), [0, bytes.length])
    assert.equal(places.size, shard.block_count + 1)
  }
})
