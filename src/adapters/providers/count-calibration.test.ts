import { expect, test } from 'vitest'
import { CountCalibration } from './count-calibration.ts'

test('a vendor is taken to count as we do until it says otherwise, and never to count less', () => {
  const calibration = new CountCalibration()
  expect(calibration.factor).toBe(1)
  calibration.learn(100, 80)
  expect(calibration.factor).toBe(1)
})

test('a vendor that bundles three tokens in what looks like one comes to three', () => {
  const calibration = new CountCalibration()
  for (let answer = 0; answer < 10; answer++) calibration.learn(100, 300)
  expect(calibration.factor).toBe(3)
})

test('a vendor that changes its ways is followed', () => {
  const calibration = new CountCalibration()
  for (let answer = 0; answer < 1_000; answer++) calibration.learn(1_000, 2_000)
  for (let answer = 0; answer < 300; answer++) calibration.learn(1_000, 1_000)
  expect(calibration.factor).toBeLessThan(1.01)
})

test('a word that cannot be true does not run away with it', () => {
  const calibration = new CountCalibration()
  calibration.learn(1, 1_000_000)
  calibration.learn(0, 7)
  expect(calibration.factor).toBe(4)
})
