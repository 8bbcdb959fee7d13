import { expect, test } from 'vitest'
import { optionalModule } from './optional-module.ts'

test('a package that is missing is named in one line, with how to get it', async () => {
  const missing = 'a-package-that-nobody-has'
  await expect(optionalModule(missing, () => import(/* @vite-ignore */ missing))).rejects.toThrow(
    /^the package a-package-that-nobody-has is needed for this; install it: npm install a-package-that-nobody-has$/,
  )
})

test('a package that is there but broken says so itself', async () => {
  await expect(optionalModule('broken', () => Promise.reject(new Error('it broke')))).rejects.toThrow(/^it broke$/)
})
