// Chromium opens a directory page of the gateway, follows links, and gets the bytes of a file.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { chromium } from 'playwright-core'
import { repository, serve } from './fixture.mjs'

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync']

const { url, roots } = await serve()
const multi = readFileSync(join(repository.tree, 'plain', 'multi.bin'))

test('curl gets ranges', () => {
  assert.equal(roots[0].url, `${url}ipfs/${repository.report.root_cid}/`)
  for (const [range, from, to] of [['0-99', 0, 100], ['1048570-2097200', 1048570, 2097201], ['-7', multi.length - 7, multi.length]]) {
    const got = execFileSync('curl', ['-sf', '-r', range, `${roots[0].url}plain/multi.bin`], { maxBuffer: 1 << 30 })
    assert.ok(got.equals(multi.subarray(from, to)), range)
  }
})

test('Chromium walks from the list of roots to a file', async t => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, headless: true, args: flags })
  t.after(() => browser.close())
  const page = await browser.newPage()
  const strangers = []
  page.on('request', request => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:')) strangers.push(request.url())
  })
  await page.goto(url)
  await page.getByRole('link', { name: repository.report.root_cid }).click()
  await page.getByRole('link', { name: 'plain', exact: true }).click()
  await page.getByRole('link', { name: 'odd', exact: true }).click()
  await page.getByRole('link', { name: 'ünïcödé ☃ 🐟', exact: true }).click()
  assert.equal(await page.locator('body').textContent(), 'ünïcödé ☃ 🐟')
  await page.goBack()
  await page.goBack()
  await page.getByRole('link', { name: 'hello.txt', exact: true }).click()
  assert.equal(await page.locator('body').textContent(), 'hello world')
  await page.goBack()
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'multi.bin', exact: true }).click(),
  ])
  assert.ok(readFileSync(await download.path()).equals(multi))
  for (const other of ['/', new URL(roots[0].url).pathname]) {
    await assert.rejects(page.evaluate(other => fetch(other).then(answer => answer.text()), other), /Failed to fetch/)
  }
  assert.deepEqual(strangers, [])
})
