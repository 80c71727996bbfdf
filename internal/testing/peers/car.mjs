// ipfs-car unpacks what guppy exports, and every CAR has the blocks that its CIDs say.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createReadStream, lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { CarBlockIterator } from '@ipld/car'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { repository } from './fixture.mjs'

const ipfsCar = new URL('node_modules/ipfs-car/bin.js', import.meta.url).pathname

// list maps the paths in a directory to the content of files, and undefined for directories.
function list (root, path = '', into = new Map()) {
  for (const name of readdirSync(join(root, path)).sort()) {
    const below = join(path, name)
    if (lstatSync(join(root, below)).isDirectory()) {
      into.set(below, undefined)
      list(root, below, into)
    } else {
      into.set(below, readFileSync(join(root, below)))
    }
  }
  return into
}

test('ipfs-car unpacks an export to the same tree', () => {
  const { dir, guppy, report, tree } = repository
  const car = join(dir, 'plain.car')
  const out = join(dir, 'unpacked')
  guppy('export', `${report.root_cid}/plain`, '-o', car)
  mkdirSync(out)
  execFileSync(process.execPath, [ipfsCar, 'unpack', car, '--output', out, '--verify'], { stdio: 'inherit' })
  const got = list(out)
  const want = list(join(tree, 'plain'))
  assert.deepEqual([...got.keys()], [...want.keys()])
  for (const [path, content] of want) assert.ok(content === undefined ? got.get(path) === undefined : content.equals(got.get(path)), path)
})

test('ipfs-car lists the root of an export', () => {
  const { dir, guppy, report } = repository
  const car = join(dir, 'whole.car')
  guppy('export', report.root_cid, '-o', car)
  assert.equal(execFileSync(process.execPath, [ipfsCar, 'roots', car]).toString().trim(), report.root_cid)
})

test('the blocks of all shards have their CIDs', async () => {
  const { bytesOf, report } = repository
  let blocks = 0
  for (const shard of report.shards) {
    assert.deepEqual((await sha256.digest(bytesOf(shard))).bytes, CID.parse(shard.cid).multihash.bytes)
    for await (const { cid, bytes } of await CarBlockIterator.fromIterable(createReadStream(new URL(shard.location)))) {
      assert.deepEqual((await sha256.digest(bytes)).bytes, cid.multihash.bytes)
      blocks++
    }
  }
  assert.equal(blocks, report.block_count)
})
